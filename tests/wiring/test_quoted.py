"""Pairs that the candle exchange does not list: their bars are made of the venue's ticker, and everybody sees so."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from evenkeel import archive
from evenkeel import config as configs
from evenkeel.cli import priced
from evenkeel.errors import VenueUnknownError
from evenkeel.market.panel import panel as make_panel
from evenkeel.types import Panel
from evenkeel.units import DAY_S
from evenkeel.venues.limiter import Priority
from evenkeel.venues.roostoo_rows import Tick
from evenkeel.wiring import build_live
from evenkeel.wiring.bars import with_quoted
from evenkeel.wiring.quoted import QUOTES, Quoted, noted
from venues.roostoo_server import RoostooServer

BAR = 1_800
START = 1_790_000_000 // BAR * BAR


class Venue:
    """A ticker that rises by a dollar a minute from 100; `silent` = it cannot be had."""

    def __init__(self) -> None:
        self.now, self.silent = float(START), False
        self.asked: list[Priority] = []

    def quotes(self, priority: Priority) -> dict[str, Tick]:
        """SUI and BTC at this moment."""
        self.asked.append(priority)
        if self.silent:
            raise VenueUnknownError("no answer")
        price = Decimal(100) + Decimal(int(self.now - START) // 60)
        tick = Tick(int(self.now * 1000), price, price, price, Decimal(4_800))
        return {"SUI": tick, "BTC": tick}


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def quoted(venue: Venue, tmp_path: Path) -> Quoted:
    return Quoted(tmp_path, BAR, ["SUI"], venue.quotes, lambda: venue.now)


def _watch(venue: Venue, quoted: Quoted, bars: int) -> None:
    for _ in range(bars * BAR // 60):
        quoted.poll()
        venue.now += 60


def _panel(bars: int) -> Panel:
    """Bars of an exchange that lists BTC alone."""
    close = np.column_stack([np.full(bars, 50.0), np.full(bars, np.nan)])
    times = START + BAR * (1 + np.arange(bars))
    return make_panel(times, ("BTC", "SUI"), close, close, close, close, close, BAR)


def test_watched_bars_are_stored_under_their_own_source(venue: Venue, quoted: Quoted, tmp_path: Path) -> None:
    """Open, high, low and close as seen; the bar's even share of the day's units; each bar once."""
    _watch(venue, quoted, 2)
    quoted.keep(START + 2 * BAR)
    quoted.keep(START + 2 * BAR)

    rows = archive.read(tmp_path, "ticker", BAR, "SUI")
    assert rows.tolist() == [
        [START, 100.0, 129.0, 100.0, 129.0, 4_800 * BAR / DAY_S],
        [START + BAR, 130.0, 159.0, 130.0, 159.0, 4_800 * BAR / DAY_S],
    ]
    assert list(archive.spans(tmp_path, "ticker", BAR)) == ["SUI"]


def test_their_columns_are_filled_and_no_other(venue: Venue, quoted: Quoted) -> None:
    """A bar that nobody watched stays unknown; the exchange's own columns keep their bits."""
    _watch(venue, quoted, 1)
    venue.now += BAR
    _watch(venue, quoted, 1)
    quoted.keep(START + 3 * BAR)

    laid = quoted.laid(_panel(4))

    np.testing.assert_array_equal(laid.close[:, 1], [129.0, np.nan, 189.0, np.nan])
    np.testing.assert_array_equal(laid.close[:, 0], _panel(4).close[:, 0])


def test_a_silent_venue_leaves_the_exchange_alone(venue: Venue, quoted: Quoted) -> None:
    """Quotes of the others are there; those of its own pairs are not, and grow old."""
    others = {"BTC": (1.0, 2.0, START)}
    both = with_quoted(lambda: others, quoted)
    assert both() == {**others, "SUI": (100.0, 100.0, START)}

    venue.silent = True

    assert both() == others
    assert venue.asked == [Priority.STOP, Priority.STOP]


def test_source_and_age_of_each_pair_are_seen(venue: Venue, quoted: Quoted, tmp_path: Path) -> None:
    """As `status` shows them: by source, with the age of the last quote; a pair never quoted is named so."""
    (tmp_path / "state").mkdir()
    sources = {"BTC": "coinbase", "ETH": "coinbase", "SUI": "ticker"}
    poll = noted(tmp_path, sources, with_quoted(lambda: {"BTC": (1.0, 2.0, START + 50)}, quoted))

    poll()

    found = priced.prices(tmp_path, START + 60.0)
    assert found == {
        "BTC": {"source": "coinbase", "age_s": 10.0},
        "ETH": {"source": "coinbase", "age_s": None},
        "SUI": {"source": "ticker", "age_s": 60.0},
    }
    assert priced.sentence(found) == "coinbase 2 pairs, oldest 10s, 1 never quoted; ticker 1 pairs, oldest 1m"


@pytest.mark.parametrize("content", ["", "[]", '{"BTC": 1}', '{"BTC": {"source": "x"}}'])
def test_a_broken_note_is_no_note(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / QUOTES).write_text(content)

    assert priced.prices(tmp_path, 0.0) == {}


def test_a_home_without_state_gets_no_note(tmp_path: Path) -> None:
    """`plan` and `why` only look."""
    assert noted(tmp_path, {"BTC": "x"}, lambda: {"BTC": (1.0, 2.0, 3)})() == {"BTC": (1.0, 2.0, 3)}
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("kind", "source"), [("roostoo", "ticker"), ("paper", None)])
def test_what_the_exchange_does_not_list_is_watched_where_the_venue_shows_a_ticker(
    tmp_path: Path, kind: str, source: str | None
) -> None:
    """Else it is missing, as the run says."""
    given = [f"venue.kind={kind}", "feed.exchange=coinbase", "universe.only=[BTC,SUI]"]
    config = configs.load(None, environ={}, overrides=given, home=tmp_path).config

    engine = build_live(config, tmp_path, threading.Event())

    assert engine.sources == {"BTC": "coinbase", **({"SUI": source} if source else {})}
    assert engine.missing == (() if source else ("SUI",))
    assert tuple(pair.asset for pair in engine.rules.pairs) == tuple(engine.sources)


def test_prices_are_asked_for_without_a_key(tmp_path: Path) -> None:
    """A dry run reads no secret: the calls carry neither key nor signature, over the real wire."""
    from evenkeel.config import Secrets
    from evenkeel.wiring.accounts import tickers

    with RoostooServer(now_ms=int(time.time() * 1000)) as server:
        given = ["venue.kind=roostoo", f"venue.url={server.url}"]
        config = configs.load(None, environ={}, overrides=given, home=tmp_path).config
        ask = tickers(config, Secrets(), lambda: pytest.fail("no account is opened"), threading.Event())
        assert ask is not None

        quoted = Quoted(tmp_path, BAR, ["SHIB"], ask, time.time)
        bid, ask_price, _ = quoted.poll()["SHIB"]

    assert (bid, ask_price) == (0.00001234, 1.235e-05)
    assert server.sent("ticker") == {}
