"""A loopback server that speaks the public REST of Coinbase's Advanced Trade: products, candles, ticker, time."""

from __future__ import annotations

import time

from venues.binance_server import Answer, BinanceServer

_GRANULARITY_S = {"ONE_MINUTE": 60, "FIVE_MINUTE": 300, "FIFTEEN_MINUTE": 900, "THIRTY_MINUTE": 1800, "ONE_HOUR": 3600}
_PRODUCTS = "brokerage/market/products"
MOST = 350
"""Candles in one answer."""


class CoinbaseServer(BinanceServer):
    """The same bars as Binance's fake, a hundred thousand times as much traded, on the computer's clock.

    Candles come newest first, all values as text, low before high; more than 350 are refused. listed: `BTC-USD`.
    """

    def __init__(self, listed: dict[str, int]) -> None:
        super().__init__(now=0.0, listed=listed)

    @property
    def now(self) -> float:  # type: ignore[override]
        """UTC s."""
        return time.time()

    @now.setter
    def now(self, value: float) -> None:
        """The clock cannot be set."""

    @property
    def url(self) -> str:
        """Base address, in the place of `https://api.coinbase.com`."""
        return super().url.removesuffix("/api/v3")

    def _answer(self, path: str, query: dict[str, str]) -> Answer:
        if path == "/v2/time":
            return 200, {"data": {"epoch": int(self.now), "iso": ""}}, {}
        if path == _PRODUCTS:
            spot = query.get("product_type", "SPOT") == "SPOT"
            return 200, {"products": [_product(symbol) for symbol in self.listed] if spot else []}, {}
        symbol, _, what = path.removeprefix(f"{_PRODUCTS}/").partition("/")
        if symbol not in self.listed or what not in {"candles", "ticker"}:
            return 404, {"error": "NOT_FOUND", "message": "valid product_id is required"}, {}
        return self._candles(symbol, query) if what == "candles" else self._ticker(symbol)

    def _candles(self, symbol: str, query: dict[str, str]) -> Answer:
        bar_s = _GRANULARITY_S[query["granularity"]]
        start, end = int(query["start"]), min(int(query["end"]), int(self.now))
        first = -(-max(start, self.listed[symbol]) // bar_s) * bar_s
        opens = range(first, end + 1, bar_s)
        if len(opens) > MOST:
            return 400, {"error": "INVALID_ARGUMENT", "message": f"number of candles requested over {MOST}"}, {}
        return 200, {"candles": [self._candle(symbol, bar_s, at) for at in reversed(opens)]}, {}

    def _candle(self, symbol: str, bar_s: int, at: int) -> dict[str, str]:
        _, open_, high, low, close, volume, *_ = self.kline(symbol, bar_s, at)
        many = f"{1e5 * float(volume):.4f}"
        return {"start": str(at), "low": low, "high": high, "open": open_, "close": close, "volume": many}

    def _ticker(self, symbol: str) -> Answer:
        bar = 3600
        price = float(self.kline(symbol, bar, int(self.now) // bar * bar - bar)[4])
        trade = {"trade_id": "1", "product_id": symbol, "price": f"{price:.4f}", "size": "1", "side": "BUY"}
        bid, ask = f"{0.9999 * price:.4f}", f"{1.0001 * price:.4f}"
        return 200, {"trades": [trade | {"time": "2025-07-01T00:00:00Z"}], "best_bid": bid, "best_ask": ask}, {}


def _product(symbol: str) -> dict[str, object]:
    base, _, quote = symbol.partition("-")
    return {
        "product_id": symbol, "base_currency_id": base, "quote_currency_id": quote, "product_type": "SPOT",
        "base_increment": "0.00000001", "quote_increment": "0.01", "price_increment": "0.01",
        "base_min_size": "0.00000001", "base_max_size": "1000", "quote_min_size": "1", "quote_max_size": "1000000",
        "status": "online", "trading_disabled": False, "alias_to": [],
    }  # fmt: skip
