"""Coinbase's candles of the sandbox, on the wire."""

from __future__ import annotations

import numpy as np
import pytest
import requests

from evenkeel.sandbox.faults import Fault
from evenkeel.units import iso
from evenkeel.venues.candles import CandleSource
from venues.exchanges import START, running

NOW = START + 86_400 + 17


@pytest.fixture(scope="module")
def exchange():
    with running(start=NOW, gaps=(50,)) as made:
        yield made


def candles(exchange, product="BTC-USD", **words):
    answer = requests.get(f"{exchange.url}/products/{product}/candles", params=words, timeout=5)
    return answer.status_code, answer.json()


def test_rows_are_newest_first_low_before_high_and_the_end_is_included(exchange):
    """Time, low, high, open, close, volume; numbers, not text; the open bar is there."""
    end = START + 86_400
    _, rows = candles(exchange, granularity=60, start=end - 300, end=end)

    assert [row[0] for row in rows] == [end - 60 * n for n in range(6)]
    bars = {bar.time: bar for bar in exchange.market.bars("BTC", 60, end - 300, end + 1, NOW)}
    for time, low, high, opened, close, volume in rows:
        bar = bars[time]
        assert (low, high, opened, close, volume) == (bar.low, bar.high, bar.open, bar.close, bar.volume)


def test_a_bar_without_a_trade_is_missing(exchange):
    hole = START + 50 * 900
    _, rows = candles(exchange, granularity=900, start=iso(hole - 900), end=iso(hole + 900))

    assert [row[0] for row in rows] == [hole + 900, hole - 900]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"granularity": 60, "start": START, "end": START + 299 * 60}, 200),
        ({"granularity": 60, "start": START, "end": START + 300 * 60}, 400),
        ({"granularity": 1800}, 400),
        ({"granularity": 60, "start": "soon", "end": "later"}, 400),
        ({"product": "NONE-USD", "granularity": 60}, 404),
    ],
)
def test_what_coinbase_refuses_is_refused(exchange, words, status):
    found, body = candles(exchange, **words)

    assert found == status
    assert status == 200 or body["message"]


def test_one_end_alone_is_ignored(exchange):
    _, rows = candles(exchange, granularity=60, start=START)

    assert len(rows) == 300
    assert rows[0][0] == NOW // 60 * 60


def test_products_and_time(exchange):
    rows = requests.get(f"{exchange.url}/products", timeout=5).json()
    btc = next(row for row in rows if row["id"] == "BTC-USD")

    assert (btc["base_increment"], btc["quote_increment"], btc["min_market_funds"]) == ("0.00001", "0.01", "5")
    assert requests.get(f"{exchange.url}/time", timeout=5).json() == {"iso": iso(NOW), "epoch": float(NOW)}


def test_a_suspended_product_is_offline():
    with running(start=NOW) as made:
        made.faults.replace([Fault("suspend", asset="ETH")])
        rows = requests.get(f"{made.url}/products", timeout=5).json()

    assert {row["id"]: row["status"] for row in rows} == {"BTC-USD": "online", "ETH-USD": "offline"}


def test_our_reader_gets_every_closed_bar_through_ccxt(exchange):
    """Turned round, columns in place, pages joined, the hole left out, the open bar too."""
    stored = {}
    source = CandleSource("coinbaseexchange", hosts=[exchange.url], sleep=lambda _: None, clock=lambda: float(NOW))
    source.download({"BTC-USD": [(START, NOW)]}, 60, stored.__setitem__)

    expected = np.array([bar[:6] for bar in exchange.market.bars("BTC", 60, START, NOW, NOW) if bar.closed])
    np.testing.assert_allclose(stored["BTC-USD"], expected, rtol=0, atol=1e-9)
    assert len(expected) == 1440 - 15
