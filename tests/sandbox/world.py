"""One small market, and a Roostoo client of a few lines over real HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import requests

from evenkeel.sandbox import roostoo
from evenkeel.sandbox.app import Sandbox
from evenkeel.sandbox.market import Market
from evenkeel.types import Pair, Panel

START = 1_735_689_600
BAR = 900
PAIRS = {
    "BTC": Pair("BTC", "BTC/USD", 1, 2, 5, Decimal(1)),
    "PEPE": Pair("PEPE", "PEPE/USD", 2, 8, 0, Decimal(1)),
}
BARS = (  # open, high, low, close of BTC
    (100.0, 110.0, 95.0, 105.0),
    (105.0, 106.0, 80.0, 90.0),
    (90.0, 130.0, 90.0, 120.0),
    (120.0, 121.0, 119.0, 120.0),
)


def small_market(*, spread_bps: float = 2.0) -> Market:
    """Four bars of two coins."""
    rows = np.array(BARS)
    fields = [np.stack([rows[:, i], rows[:, i] * 1e-7], axis=1) for i in range(4)]
    time = START + BAR * np.arange(1, 5, dtype=np.int64)
    return Market(Panel(time, ("BTC", "PEPE"), *fields, np.full((4, 2), 10.0), BAR), PAIRS, spread_bps=spread_bps)


@dataclass(frozen=True)
class Client:
    """A well-behaved client of one served sandbox."""

    url: str
    box: Sandbox

    def get(self, path: str, **params: Any) -> requests.Response:
        """A public call, or a call of the controls."""
        return requests.get(self.url + path, params=params, timeout=10)

    def put(self, path: str, document: Any) -> requests.Response:
        """A call of the controls."""
        return requests.put(self.url + path, json=document, timeout=10)

    def signed(self, method: str, name: str, *, at: float | None = None, **params: Any) -> requests.Response:
        """A signed call of Roostoo; `at` is the client's time where that is not the sandbox's."""
        now = self.box.clock.now() if at is None else at
        sent = {**{key: str(value) for key, value in params.items()}, "timestamp": str(int(now * 1000))}
        headers = self.headers(sent)
        url = f"{self.url}/roostoo/v3/{name}"
        if method == "GET":
            return requests.get(url, params=sent, headers=headers, timeout=10)
        return requests.post(url, data=sent, headers=headers, timeout=10)

    def headers(self, sent: Mapping[str, str]) -> dict[str, str]:
        """Key and signature."""
        account = self.box.account
        return {"RST-API-KEY": account.key, "MSG-SIGNATURE": roostoo.signature(account.secret, sent)}

    def place(self, side: str, quantity: str, price: str | None = None, pair: str = "BTC/USD") -> Any:
        """A market order, or a limit order where a price is given; -> the answer's document."""
        more = {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        return self.signed("POST", "place_order", pair=pair, side=side, quantity=quantity, **more).json()

    def orders(self, **params: Any) -> Any:
        """query_order's document."""
        return self.signed("POST", "query_order", **params).json()

    def wallet(self) -> Any:
        """Rows of the spot wallet."""
        return self.signed("GET", "balance").json()["SpotWallet"]

    def state(self) -> Any:
        """The venue's exact state."""
        return self.get("/sandbox/state").json()["venues"]["roostoo"]
