"""How is an exchange asked in our name? Two lines of one account: its orders, and what is only looked at.

A look at prices and balances never waits for the answer of an order. Orders, and every look at orders and fills, stay
on one line: a look that overtook an order on its way would say that there is none, and the protocol, which takes a
silence that lasts for proof, would count it as one; whoever is told of an order's absence was answered after every
answer to an order. Balances may overtake one: what an order of ours that is not in the books yet can have moved, its
units and all cash, is left alone by whoever compares (`portfolio.book.reconcile`, `Memory.busy`).
The lines share the keys, the markets (loaded once), the difference between the clocks, and the call budget.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from evenkeel.errors import ConfigError, VenueError, VenueUnknownError
from evenkeel.venues.spot_line import Line, Pace

_PATHS = {"binance": ("public", "private"), "coinbase": ("rest",)}


@dataclass(frozen=True, slots=True)
class Keys:
    """An account's credentials; never printed."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(...)"


class SpotWire:
    """Both lines. See `spot.Spot` for the arguments. Opened at the first request: call `exchange` before any other.

    orders  sends, cancels, and looks at orders and fills · reads  prices and balances
    """

    def __init__(
        self,
        exchange_id: str,
        keys: Keys,
        *,
        host: str | None,
        testnet: bool,
        timeout_s: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        pace: Pace,
    ) -> None:
        if exchange_id not in _PATHS:
            raise ConfigError(f"no orders can be sent to {exchange_id!r}: choose one of {', '.join(_PATHS)}")
        if testnet and exchange_id != "binance":
            raise ConfigError(f"{exchange_id} has no test network: leave testnet out, or give a host")
        self.id = exchange_id
        self._keys, self._host, self._testnet, self._timeout_s = keys, host, testnet, timeout_s
        self._sleep, self._clock, self._pace = sleep, clock, pace
        self._listed: Any = None
        self._offset_ms = 0
        self._loading = threading.Lock()
        self.orders, self.reads = self._line(), self._line()

    def exchange(self) -> Any:
        """The markets in an object of ccxt that is only looked at; opens both lines. VenueError, VenueUnknownError."""
        with self._loading:
            if self._listed is None:
                self._load()
            return self._listed

    def reload(self) -> None:
        """Ask for the markets anew; requests that are under way keep the old ones. VenueError, VenueUnknownError."""
        with self._loading:
            self._load()

    def now_ms(self) -> int:
        """The exchange's time, UTC ms."""
        return int(self._clock() * 1000) + self._offset_ms

    def _load(self) -> None:
        """On a line that ends here: nobody else uses an object while it is filled."""
        if self._listed is None:
            self._compare_clocks()
        line = self._line()
        line.read("load_markets", True)
        self._listed = line.exchange
        self.orders.renew()
        self.reads.renew()

    def _line(self) -> Line:
        return Line(self.id, self._opened, self._mend, self._pace, timeout_s=self._timeout_s, sleep=self._sleep)

    def _opened(self) -> Any:
        made = getattr(_ccxt(), self.id)(
            {"apiKey": self._keys.key, "secret": self._keys.secret, "enableRateLimit": True,
             "timeout": int(self._timeout_s * 1000)}
        )  # fmt: skip
        made.number = str
        made.options["maxRetriesOnFailure"] = 0
        made.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        made.options["fetchBalance"] = "v3PrivateGetBrokerageAccounts" if self.id == "coinbase" else "spot"
        made.has["fetchCurrencies"] = False
        made.milliseconds = self.now_ms
        made.seconds = lambda: self.now_ms() // 1000
        if self.id == "binance":
            made.options |= {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "recvWindow": made.timeout}
        if self._testnet:
            made.set_sandbox_mode(True)
        for name in _PATHS[self.id] if self._host else ():
            made.urls["api"][name] = self._host
        if self._listed is not None:
            made.set_markets_from_exchange(self._listed)
        return made

    def _mend(self) -> None:
        """After a refusal for its time; where the exchange does not answer, the next refusal asks again."""
        with suppress(VenueError, VenueUnknownError):
            self._compare_clocks()

    def _compare_clocks(self) -> None:
        """Signed requests carry the exchange's time, not ours."""
        theirs = self.reads.read("fetch_time")
        if not isinstance(theirs, int | float):
            raise VenueUnknownError(f"{self.id} does not tell its time: try again later")
        self._offset_ms = int(theirs) - int(self._clock() * 1000)


def _ccxt() -> Any:
    return importlib.import_module("ccxt")
