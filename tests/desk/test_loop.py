"""When turns are taken: on the grid, after what the stream tells, and again soon while an order is open."""

from __future__ import annotations

import logging
import threading
import time
from itertools import pairwise

import pytest
import structlog

from desk.checker import check
from desk.world import SERIES, opened, served
from evenkeel import config as configs
from evenkeel.desk.loop import Bell, serve
from evenkeel.sandbox import kalshi_keys
from evenkeel.venues import kalshi_stream
from evenkeel.venues.kalshi_stream import Missed, Turned
from evenkeel.venues.kalshi_wire import Credentials
from evenkeel.wiring import desk as parts

KEY = Credentials(kalshi_keys.key_id(7), kalshi_keys.pem(7))
LOG = structlog.wrap_logger(logging.getLogger("desk"), processors=[structlog.processors.KeyValueRenderer()])


def test_turns_fall_on_the_grid_and_each_time_has_one(tmp_path):
    times = []
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        turns = serve(
            made.desk, 300, stopped=lambda: len(times) >= 4, pause=lambda s: box.clock.advance(max(s, 1.0)),
            told=lambda at, outcome: times.append((at, outcome)),
        )  # fmt: skip

    assert turns == 4
    assert [at % 300 for at, _ in times] == [0, 0, 0, 0]
    assert [b - a for (a, _), (b, _) in pairwise(times)] == [300, 300, 300]
    assert made.ledger.slots[-1].time == times[-1][0]
    assert {outcome for _, outcome in times} == {"done"}


def test_a_turn_that_is_late_is_one_of_its_own_time(tmp_path):
    """Started two minutes after the grid's time: prices are of now, so is the turn; the next one is on the grid."""
    times = []
    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        box.clock.set(int(box.clock.now()) // 300 * 300 + 120)
        begun = int(box.clock.now())
        serve(
            made.desk, 300, stopped=lambda: len(times) >= 2, pause=lambda s: box.clock.advance(max(s, 1.0)),
            told=lambda at, _: times.append(at),
        )  # fmt: skip

    assert times == [begun, begun // 300 * 300 + 300]


def test_a_trade_on_the_stream_asks_for_a_turn(tmp_path):
    """Real WebSocket: the grid is a day wide, so every turn but the first is the bell's; none within ten seconds."""
    times: list[int] = []
    bell, stop, deadline = Bell(frozenset(SERIES)), threading.Event(), time.monotonic() + 30

    def pause(_: float) -> None:
        box.clock.advance(5)
        time.sleep(0.03)

    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        given = [f"kalshi.url={url}/kalshi/trade-api/v2"]
        config = configs.load(None, environ={}, overrides=given, home=tmp_path).config
        with parts.listening(config, KEY, bell, LOG, stop):
            serve(
                made.desk, 86_400, stopped=lambda: len(times) >= 4 or time.monotonic() > deadline, pause=pause,
                told=lambda at, _: times.append(at), bell=bell,
            )  # fmt: skip
        check(tmp_path, box.kalshi, "100", paper=True)

    assert len(times) == 4
    assert all(b - a >= 10 for a, b in pairwise(times))


def test_an_error_of_the_stream_that_nobody_foresaw_ends_the_stream_in_a_line_of_the_log(tmp_path, monkeypatch):
    def follow(*_, **__):
        raise TypeError("planted")

    monkeypatch.setattr(kalshi_stream, "follow", follow)
    config = configs.load(None, environ={}, overrides=[], home=tmp_path).config
    bell, out = Bell(frozenset(SERIES)), structlog.get_logger()
    with structlog.testing.capture_logs() as told, parts.listening(config, KEY, bell, out, threading.Event()) as thread:
        thread.join(timeout=10)

    assert [(row["event"], row["error"]) for row in told] == [("kalshi_stream_failed", "TypeError('planted')")]


@pytest.mark.parametrize(
    ("event", "rings"),
    [
        (Turned("KXBTCD-X-T1", "settled"), True),
        (Turned("KXBTCD-X-T1", "activated"), False),
        (Turned("KXNBAGAME-X-NYK", "settled"), False),
        (Missed("trade"), True),
    ],
)
def test_what_rings_the_bell(event, rings):
    bell = Bell(frozenset(SERIES))
    bell.hear(event)

    assert (bell.taken(), bell.taken()) == (rings, False)
