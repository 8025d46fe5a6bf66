"""Candles from the sandbox's WebSocket, on an accelerated clock."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evenkeel import archive
from evenkeel.errors import DataError, FeedError, UsageError
from evenkeel.sandbox.faults import Fault
from evenkeel.venues import stream
from evenkeel.venues.candles import CandleSource
from venues.exchanges import START, running

NOW = START + 86_400
COINS = {"BTCUSDT": "BTC", "ETHUSDT": "ETH"}
MINUTE = 60


def collector(exchange, home, **more):
    store = more.pop("store", lambda symbol, rows: archive.append(home, "binance", MINUTE, symbol, rows))
    made = {
        "stopped": lambda: False, "sleep": lambda _: None, "clock": exchange.clock.now,
        "rng": np.random.default_rng(5),
    }  # fmt: skip
    rest = CandleSource("binance", hosts=[exchange.binance], sleep=lambda _: None, clock=exchange.clock.now)
    return stream.Collector(exchange.stream, rest, store, **made | more)


def wanted(until=None, first=NOW - 600):
    return stream.Wanted(dict.fromkeys(COINS, first), MINUTE, until)


def stored(home, symbol):
    return archive.read(home, "binance", MINUTE, symbol)


def real(exchange, symbol, first, last):
    """Every bar of the market that opens in [first, last], as rows."""
    bars = exchange.market.bars(COINS[symbol], MINUTE, first, last + 1, exchange.market.end)
    return np.array([bar[:6] for bar in bars])


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_connections_cost_no_candle_and_double_none(kills, tmp_path):
    """Resets and announced ends at odd moments, refusals of the REST beside them, a halt of the market in between."""
    cuts = [
        Fault("maintenance" if n % 4 == 3 else "reset", method="WS", first=20 + 23 * n, count=1) for n in range(kills)
    ]
    trouble = Fault("status", path="*/klines", probability=0.2)
    received = []
    with running(start=NOW, speed=1_000.0, gaps=(97,)) as exchange:
        exchange.faults.replace([*cuts, trouble])

        def store(symbol, rows):
            received.extend((symbol, at) for at in rows[:, 0])
            archive.append(tmp_path, "binance", MINUTE, symbol, rows)

        def stopped():
            fired = sum(rule["struck"] for rule in exchange.faults.to_json()[:kills])
            newest = dict(received)
            return fired == kills and min(newest.get(symbol, 0) for symbol in COINS) > NOW + 1_860

        done = collector(exchange, tmp_path, store=store, stopped=stopped).run(wanted())

        assert done.connections >= kills
        for symbol in COINS:
            found = stored(tmp_path, symbol)
            assert found[-1, 0] > NOW + 1_860
            np.testing.assert_array_equal(found, real(exchange, symbol, NOW - 600, found[-1, 0]))
            assert len(found) == done.rows[symbol]
    assert len(received) == len(set(received))


def test_what_was_closed_before_and_what_closes_is_stored_to_the_end(tmp_path):
    """From the first bar wanted to the end, by REST and by stream; the open bar never."""
    with running(start=NOW + 1, speed=600.0) as exchange:
        done = collector(exchange, tmp_path).run(wanted(until=NOW + 600))

        for symbol in COINS:
            np.testing.assert_array_equal(stored(tmp_path, symbol), real(exchange, symbol, NOW - 600, NOW + 540))
    assert done.rows == {"BTCUSDT": 20, "ETHUSDT": 20}
    assert done.filled >= 20
    assert done.connections == 1


def test_collecting_again_goes_on_where_it_ended(tmp_path):
    """A second run from the next bar asks for what closed in between and doubles nothing."""
    with running(start=NOW + 1, speed=0.0) as exchange:
        collector(exchange, tmp_path).run(wanted(until=NOW))
        exchange.clock.advance(3_600)
        last = int(stored(tmp_path, "BTCUSDT")[-1, 0])
        done = collector(exchange, tmp_path).run(wanted(until=NOW + 3_600, first=last + MINUTE))

        np.testing.assert_array_equal(
            stored(tmp_path, "BTCUSDT"), real(exchange, "BTCUSDT", NOW - 600, NOW + 3_600 - MINUTE)
        )
    assert done.rows["BTCUSDT"] == 60
    assert done.connections == 0


def test_the_last_bar_is_waited_for_where_our_clock_is_ahead(tmp_path):
    """By ours it has closed, by the exchange's it closes while we wait."""
    with running(start=NOW + 59, speed=0.0) as exchange:
        made = collector(
            exchange, tmp_path, clock=lambda: exchange.clock.now() + 2, sleep=lambda _: exchange.clock.advance(1)
        )
        done = made.run(wanted(until=NOW + 60, first=NOW))

    assert done.rows == {"BTCUSDT": 1, "ETHUSDT": 1}


def test_a_symbol_that_nobody_knows_is_left_out_with_a_word(tmp_path):
    """The others go on."""
    with running(start=NOW + 1, speed=600.0) as exchange:
        asked = stream.Wanted({"BTCUSDT": NOW, "NONEUSDT": NOW - 600}, MINUTE, NOW + 120)
        done = collector(exchange, tmp_path).run(asked)

    assert set(done.skipped) == {"NONEUSDT"}
    assert done.rows["BTCUSDT"] == 2


def test_a_silent_connection_is_given_up(tmp_path, monkeypatch):
    """Time stands still: the open bar is told once, then nothing comes."""
    monkeypatch.setattr(stream, "_LOOK_S", 0.02)
    with running(start=NOW + 1, speed=0.0) as exchange:
        waits = []
        made = collector(exchange, tmp_path, silent_s=0.05, stopped=lambda: len(waits) == 3, sleep=waits.append)
        done = made.run(wanted(first=NOW))

    assert done.connections == 3
    assert all("silent" in note for note in done.notes)
    assert waits[0] < waits[1] < waits[2]


def test_where_nobody_listens_is_tried_again_and_the_end_is_told(tmp_path):
    """No stream and no REST: it waits and asks again; at the end it says that bars are missing."""
    with running() as exchange:
        pass
    now = [float(NOW)]

    def sleep(wait):
        now[0] += wait

    rest = CandleSource("binance", hosts=[exchange.binance], sleep=sleep, clock=lambda: now[0], timeout_s=1.0)
    made = stream.Collector(
        exchange.stream, rest, lambda *_: None, stopped=lambda: False, sleep=sleep, clock=lambda: now[0],
        rng=np.random.default_rng(1),
    )  # fmt: skip
    with pytest.raises(FeedError):
        made.run(wanted(until=NOW + 300))

    assert made.done.connections == 0
    assert "cannot be opened" in made.done.notes[0]


def test_waits_double_up_to_a_minute_and_are_drawn_from_the_seed():
    """Half of a wait is chance; equal seeds wait alike."""
    first, again = (
        [stream.wait_s(n, rng) for n in range(12)] for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )

    assert first == again
    assert all(min(2.0**n, 60) / 2 <= wait <= min(2.0**n, 60) for n, wait in enumerate(first))


@pytest.mark.parametrize("text", ["<html>", "[]", '{"data": {"e": "kline"}}', '{"e": "serverShutdown"}', b"\xff\xfe"])
def test_what_cannot_be_understood_ends_the_connection(text):
    with pytest.raises(stream.Lost):
        stream.parsed(text)


def test_other_messages_are_passed_over():
    assert stream.parsed(json.dumps({"result": None, "id": 1})) is None


def test_too_many_symbols_and_exchanges_without_candles_are_refused():
    with pytest.raises(DataError, match="1025"):
        stream.address("ws://x", [f"S{n}" for n in range(1_025)], MINUTE)
    with pytest.raises(UsageError, match="coinbase"):
        stream.host_of("coinbase")
