"""Coinbase Exchange's shape: newest first, low before high, at most 300 bars, empty bars missing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

from evenkeel.units import iso, utc
from evenkeel.venues.candles import CandleSource

BAR = 3600
NOW = utc("2025-07-20T05:30")
LISTED = utc("2025-07-01")
HALT = range(LISTED + 100 * BAR, LISTED + 450 * BAR, BAR)


class Coinbase(BaseHTTPRequestHandler):
    """Three public paths of api.exchange.coinbase.com."""

    def do_GET(self) -> None:
        """One request."""
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        code, body = self.answer(url.path, query)
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, path, query):
        """Status and body."""
        if path == "/time":
            return 200, {"iso": iso(NOW), "epoch": NOW}
        if path == "/products":
            return 200, [{"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "status": "online"}]
        if path == "/products/BTC-USD/ticker":
            return 200, {"bid": "99.5", "ask": "100.5", "price": "100", "time": iso(NOW), "trade_id": 1}
        start, end = (int(datetime.fromisoformat(query[name]).timestamp()) for name in ("start", "end"))
        bars = range(start, min(end, NOW) + 1, BAR)
        if len(range(start, end + 1, BAR)) > 300:
            return 400, {"message": "granularity too small for the requested time range."}
        kept = [at for at in bars if at >= LISTED and at not in HALT]
        return 200, [[at, 90 + at % 7, 110 + at % 7, 100, 101 + at % 7, 5] for at in reversed(kept)]

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def source() -> Iterator[CandleSource]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Coinbase)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_address[1]}"
    yield CandleSource("coinbaseexchange", hosts=[host], sleep=lambda _: None, clock=lambda: float(NOW))
    server.shutdown()
    server.server_close()


def test_pages_of_300_cross_late_listing_and_halt(source):
    """Empty windows before the listing and inside a halt are stepped over; columns land where they belong."""
    stored: list[np.ndarray] = []
    span = (LISTED - 700 * BAR, utc("2025-07-21"))

    done = source.download({"BTC-USD": [span]}, BAR, lambda _symbol, rows: stored.append(rows))

    rows = np.concatenate(stored)
    assert rows[0, 0] == LISTED
    assert rows[-1, 0] == NOW // BAR * BAR - BAR
    assert done.rows["BTC-USD"] == len(rows) == (NOW - LISTED) // BAR - len(HALT)
    assert (rows[:, 2] - rows[:, 3] == 20).all()
    assert (rows[:, 1] == 100).all()


def test_closed_bars_and_quotes(source):
    """The same feed calls work where quotes come one symbol at a time."""
    assert source.closed_bars(["BTC-USD"], BAR, 10).rows["BTC-USD"].shape == (10, 6)

    touch = source.best_bid_ask(["BTC-USD", "XX-USD"])["BTC-USD"]
    assert (touch.bid, touch.ask) == (99.5, 100.5)
