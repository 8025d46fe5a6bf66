"""Listening to Kalshi over the real client and HTTP: an outage is a reason and never a delay."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenkeel import config as configs
from evenkeel.cli import planning
from evenkeel.engine import record
from evenkeel.engine.live import LiveFeed, Touches
from evenkeel.errors import FeedError, StoppedError, VenueUnknownError
from evenkeel.journal import Journal
from evenkeel.sandbox.faults import Fault
from evenkeel.signals.crowd import COINS, LEAST_PAST
from evenkeel.types import Board, Brain, Panel, Plan, Reading, Record, Slot, SlotKind, View
from evenkeel.venues import kalshi_board
from evenkeel.venues.kalshi import Kalshi
from evenkeel.wiring.listening import Ear, listener, past_crowd, remembered
from sandbox.kalshi_world import NOW, Desk, desk
from venues.exchanges import panel as bars

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody answers there."""


def shown() -> Panel:
    """Bars of BTC and ETH up to the moment that the sandbox stands at."""
    whole = bars()
    kept = whole.time <= NOW
    fields = {n: getattr(whole, n)[kept] for n in ("time", "open", "high", "low", "close", "volume")}
    return replace(whole, **fields)


def prices(panel: Panel) -> Touches:
    """Quotes of the moment around the last closes."""
    last = panel.close[-1].tolist()
    return {asset: (p * 0.9999, p * 1.0001, int(NOW)) for asset, p in zip(panel.assets, last, strict=True)}


def nothing() -> Mapping[int, tuple[Reading, ...]]:
    return {}


def earlier() -> Mapping[int, tuple[Reading, ...]]:
    """A past that makes a mean for every coin."""
    times = range(int(NOW) - LEAST_PAST * 1_800, int(NOW), 1_800)
    return {t: tuple(Reading(coin, t, mu=1e-4) for coin in COINS) for t in times}


def ear(
    ask: Callable[[], Board], past: Callable[[], Mapping[int, tuple[Reading, ...]]] = earlier, patience_s: float = 60.0
) -> Ear:
    """A listener on the shown market that waits for as long as it takes."""
    return Ear("Kalshi", ask, lambda: prices(shown()), past, patience_s)


def of(one: Desk, wire: Any = None) -> Callable[[], Board]:
    """Ask the served sandbox."""
    market = one.public if wire is None else Kalshi(wire)
    return lambda: kalshi_board.coins(market, int(NOW))


def heard(listening: Ear) -> Any:
    """One pass."""
    listening.begin()
    return listening.heard(shown())


def test_ladders_of_the_venue_become_readings_at_the_newest_bar() -> None:
    """Of the coins that the venue lists; the others say that they have no ladder. No key is needed."""
    with desk() as one:
        crowd = heard(ear(of(one)))

    (time, readings), *_ = crowd.readings.items()
    assert time == int(shown().time[-1])
    assert [r.asset for r in readings] == list(COINS)
    assert [r.reason for r in readings] == ["", "", "NO_LADDER", "NO_LADDER", "NO_LADDER"]
    assert all(math.isfinite(r.drift) and r.vol > 0 and len(r.contracts) >= 3 for r in readings[:2])
    assert crowd.source == "Kalshi"


@pytest.mark.parametrize("kind", ["reset", "maintenance", "html", "huge", "status"])
def test_m6_a_venue_that_is_down_or_speaks_otherwise_is_a_reason(kind: str) -> None:
    """Reset, 503, a proxy's page, garbage, another status: no reading, and why."""
    with desk(Fault(kind, path="*/series/*")) as one:
        crowd = heard(ear(of(one)))

    assert crowd.readings == {}
    assert crowd.silent.startswith("Kalshi cannot be had: kalshi GET /series/KXBTC")


def test_m6_nobody_at_the_address_is_a_reason_and_the_next_pass_asks_again() -> None:
    """The real wiring: no connection, then one."""
    calls = []

    def ask() -> Board:
        calls.append(1)
        if len(calls) == 1:
            raise VenueUnknownError("no connection")
        return Board(int(NOW), ())

    listening = ear(ask)

    assert heard(listening).silent == "Kalshi cannot be had: no connection"
    assert [r.reason for r in next(iter(heard(listening).readings.values()))] == ["NO_LADDER"] * len(COINS)


def test_m6_paused_markets_say_nothing() -> None:
    """They stand on the board, and nobody can trade at those quotes."""
    with desk() as one:
        found = of(one)()
    paused = Board(found.time, tuple(replace(c, status="inactive") for c in found.contracts))

    crowd = heard(ear(lambda: paused))

    assert {r.reason for r in next(iter(crowd.readings.values()))} == {"NO_LADDER"}


def test_m7_a_missing_price_field_is_no_quote_over_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue leaves its price fields out: there is no quote, so no reading; no default takes their place."""
    from evenkeel.sandbox import kalshi_objects

    whole = kalshi_objects.market

    def without(*args: Any, **more: Any) -> dict[str, Any]:
        return {k: v for k, v in whole(*args, **more).items() if not k.endswith(("_bid_dollars", "_ask_dollars"))}

    monkeypatch.setattr(kalshi_objects, "market", without)
    with desk() as one:
        found = of(one)()
        crowd = heard(ear(lambda: found))

    assert found.contracts
    assert all(c.yes_bid is None and c.yes_ask is None for c in found.contracts)
    assert not any(math.isfinite(r.mu) for r in next(iter(crowd.readings.values())))


def test_a_venue_that_hangs_is_waited_for_once_and_never_asked_twice_at_once() -> None:
    """The first pass gives up, the next ones do not wait; once it answered, however late, it is waited for again."""
    go, asked, waits = threading.Event(), [], []

    def ask() -> Board:
        asked.append(1)
        go.wait(60)
        return Board(int(NOW), ())

    listening = ear(ask, patience_s=0.01)
    assert heard(listening).silent == "Kalshi did not answer within 0.01 s"
    question = listening._asking
    wait = question.over.wait
    question.over.wait = lambda timeout=None: waits.append(timeout) or wait(timeout)  # type: ignore[method-assign, func-returns-value]
    assert heard(listening).readings == {}
    assert waits == [0.0]
    assert len(asked) == 1

    go.set()
    wait(60)
    listening._patience_s = 60.0
    assert heard(listening).readings
    assert len(asked) == 2


def test_no_price_to_compare_with_is_a_reason() -> None:
    """The exchange of the candles is down while Kalshi is not."""

    def poll() -> Touches:
        raise FeedError("no quotes")

    listening = Ear("Kalshi", lambda: Board(int(NOW), ()), poll, nothing, 60.0)

    assert heard(listening).silent == "no price to compare Kalshi's with: no quotes"


def test_a_stop_while_it_asks_is_no_error() -> None:
    """The service ends; the pass has no reading."""

    def ask() -> Board:
        raise StoppedError("asked to stop")

    assert "asked to stop" in heard(ear(ask)).silent


def test_readings_are_remembered_by_the_journal(tmp_path: Path) -> None:
    """As a trading slot writes them, back bit for bit, NaN and contracts included; `why` has them, too."""
    with desk() as one:
        (time, readings), *_ = heard(ear(of(one))).readings.items()
    assert remembered(tmp_path) == {}

    plan = _plan(Slot(SlotKind.SCORE, int(time)), int(time))
    rows = record._edge_rows(plan, _view(readings))
    journal = Journal.open(tmp_path / "state" / "journal.db", durable=False)
    journal.write(Record(1, {"edge": tuple(json.loads(json.dumps(rows)))}))
    journal.close()

    assert repr(remembered(tmp_path)) == repr({int(time): readings})

    (tmp_path / "copy").mkdir()
    planning._link(tmp_path, tmp_path / "copy")
    assert repr(remembered(tmp_path / "copy")) == repr({int(time): readings})


def test_a_start_knows_the_readings_of_the_last_pass_and_asks_nobody() -> None:
    """What a risk check before the first pass sees."""

    def ask() -> Board:
        raise AssertionError

    known = ear(ask).known()

    assert set(known.readings) == set(earlier())


def test_a_pass_reads_the_board_beside_its_bars() -> None:
    """The live feed: an opinion in the view of the bar that it brought in, with the readings behind it."""
    from evenkeel.config.sections import Config
    from evenkeel.wiring import signal_settings

    panel = shown()
    with desk() as one:
        settings = signal_settings(Config())
        feed = LiveFeed(lambda _: panel, lambda _: panel, lambda: prices(panel), lambda: None, lambda: float(NOW),
                        Brain(), settings, ear(of(one)))  # fmt: skip
        first = feed.view(int(panel.time[-1]), 0)
        feed.refresh(int(panel.time[-1]))
        then = feed.view(int(panel.time[-1]), 0)

    edges = [next(o for o in view.opinions if o.name == "edge") for view in (first, then)]
    assert np.isnan(edges[0].x).all()
    assert np.isfinite(edges[1].x).all()
    assert then.readings[0].asset == "BTC"


def test_who_wants_no_edge_asks_nobody(tmp_path: Path) -> None:
    """And a replay over the archive says that no boards were kept."""

    def config(*given: str) -> configs.Config:
        return configs.load(None, environ={}, overrides=list(given), home=tmp_path).config

    stop = threading.Event()
    assert listener(config("opinions.edge=false"), tmp_path, dict, stop) is None
    listening = listener(config(f"kalshi.url={NOWHERE}"), tmp_path, dict, stop)
    assert listening is not None
    stop.set()
    listening.begin()
    assert listening.heard(shown()).silent.startswith("Kalshi cannot be had")
    replayed = config("feed.kind=archive", "feed.source=x")
    assert past_crowd(replayed, tmp_path, shown(), 0).silent.startswith("no boards of Kalshi were kept")


def _plan(slot: Slot, as_of: int) -> Plan:
    plan = object.__new__(Plan)
    object.__setattr__(plan, "slot", slot)
    object.__setattr__(plan, "as_of", as_of)
    return plan


def _view(readings: tuple[Reading, ...]) -> View:
    view = object.__new__(View)
    object.__setattr__(view, "readings", readings)
    return view
