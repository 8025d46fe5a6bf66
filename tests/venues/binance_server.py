"""A loopback server that speaks Binance spot's public REST: klines, exchangeInfo, bookTicker, time, and their faults.

Bars come from a seed, the symbol and the bar's open time alone, so every page agrees with every other. The server has
a clock of its own, in UTC s; like the real one it sends the bar that is still open as the last row.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlparse

import numpy as np

_INTERVAL_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "1d": 86400}
Answer = tuple[int, Any, dict[str, str]]


@dataclass
class BinanceServer:
    """now: the server's UTC s. listed: symbol -> first open time. hidden: listed but refused with -1121 by klines.

    faults: answers to give first, one per request of that path (`klines`), such as `status(429, retry_after=1)`.
    blocked: answers 451 to everything. gaps: (symbol, open time) of bars that do not exist.
    """

    now: float
    listed: dict[str, int]
    seed: int = 7
    hidden: set[str] = field(default_factory=set)
    gaps: set[tuple[str, int]] = field(default_factory=set)
    blocked: bool = False
    faults: dict[str, list[Answer]] = field(default_factory=dict)
    hang_s: dict[str, list[float]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    http: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.http is not None
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        """Base address, in the place of `https://api.binance.com/api/v3`."""
        assert self.http is not None
        return f"http://127.0.0.1:{self.http.server_address[1]}/api/v3"

    def count(self, path: str) -> int:
        """How many requests of a path were received."""
        return Counter(name for name, _ in self.requests)[path]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlparse(handler.path)
        path = parts.path.removeprefix("/api/v3/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((path, query))
        if self.hang_s.get(path):
            time.sleep(self.hang_s[path].pop(0))
        code, body, headers = self._answer(path, query)
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, str) else "application/json"
        try:
            handler.send_response(code)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
        except OSError:
            return

    def _answer(self, path: str, query: dict[str, str]) -> Answer:
        if self.blocked:
            return 451, {"code": 0, "msg": "Service unavailable from a restricted location."}, {}
        if self.faults.get(path):
            return self.faults[path].pop(0)
        known = {
            "time": lambda: (200, {"serverTime": int(self.now * 1000)}, {}),
            "exchangeInfo": self._exchange_info,
            "klines": lambda: self._klines(query),
            "ticker/bookTicker": lambda: self._book(query),
        }
        return known[path]() if path in known else (404, {"code": -1, "msg": f"no {path}"}, {})

    def _exchange_info(self) -> Answer:
        symbols = [_market(symbol) for symbol in self.listed]
        return 200, {"timezone": "UTC", "serverTime": int(self.now * 1000), "rateLimits": [], "symbols": symbols}, {}

    def _klines(self, query: dict[str, str]) -> Answer:
        symbol = query.get("symbol", "")
        if symbol not in self.listed or symbol in self.hidden:
            return 400, {"code": -1121, "msg": "Invalid symbol."}, {}
        bar_s = _INTERVAL_S.get(query.get("interval", ""))
        if bar_s is None:
            return 400, {"code": -1120, "msg": "Invalid interval."}, {}
        limit = min(int(query.get("limit", 500)), 1000)
        first = max(self.listed[symbol], int(query["startTime"]) // 1000 if "startTime" in query else 0)
        last = min(self.now, int(query["endTime"]) / 1000 if "endTime" in query else self.now)
        opens = range(-(-first // bar_s) * bar_s, int(last // bar_s) * bar_s + 1, bar_s)
        kept = [at for at in opens if (symbol, at) not in self.gaps]
        kept = kept[:limit] if "startTime" in query else kept[-limit:]
        return 200, [self.kline(symbol, bar_s, at) for at in kept], {}

    def kline(self, symbol: str, bar_s: int, at: int) -> list[Any]:
        """The bar that opens at UTC s, as Binance writes it."""
        rng = np.random.default_rng([self.seed, sum(map(ord, symbol)), at // 60])
        base = 100.0 + 10.0 * np.sin(at / 86_400)
        open_, close = base * (1 + 0.01 * rng.standard_normal(2))
        high, low = max(open_, close) * 1.002, min(open_, close) * 0.998
        prices = [f"{x:.8f}" for x in (open_, high, low, close)]
        volume = f"{rng.uniform(1, 9):.8f}"
        return [at * 1000, *prices, volume, (at + bar_s) * 1000 - 1, "0", 5, "0", "0", "0"]

    def _book(self, query: dict[str, str]) -> Answer:
        wanted = json.loads(query["symbols"]) if "symbols" in query else list(self.listed)
        if any(symbol not in self.listed or symbol in self.hidden for symbol in wanted) and "symbols" in query:
            return 400, {"code": -1121, "msg": "Invalid symbol."}, {}
        rows = [
            {"symbol": s, "bidPrice": "99.50000000", "bidQty": "1", "askPrice": "100.50000000", "askQty": "2"}
            for s in wanted
            if s not in self.hidden
        ]
        return 200, rows, {}


def status(code: int, *, retry_after: float | None = None, code_word: int = -1003) -> Answer:
    """A refusal, as Binance words it."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return code, {"code": code_word, "msg": "Too many requests or server trouble."}, headers


def html() -> Answer:
    """A proxy's page with status 200."""
    return 200, "<html><body>Just a moment...</body></html>", {}


def _market(symbol: str) -> dict[str, Any]:
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissionSets": [["SPOT"]],
        "permissions": [],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            {"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": True},
        ],
    }
