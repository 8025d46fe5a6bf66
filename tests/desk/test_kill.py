"""kill -9 at any effect: nothing doubled, nothing lost, every market settled once, all rows agree with the venue."""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from desk import child
from desk.books import compared, kept, listed, whole_again
from desk.checker import check, rows
from desk.world import EAGER, served, wire
from evenkeel.desk.decide import Limits
from evenkeel.desk.maker import MakerSettings
from evenkeel.sandbox.faults import Fault
from evenkeel.units import utc
from evenkeel.venues.kalshi import Kalshi

FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
FORK = get_context("forkserver")
FORK.set_forkserver_preload([
    "evenkeel.cli.kalshi", "evenkeel.desk.sight", "evenkeel.desk.turn", "evenkeel.market.synthetic",
    "evenkeel.sandbox.app", "evenkeel.service.log", "evenkeel.wiring.desk", "requests", "websockets.sync.client",
])  # fmt: skip


def lives(
    home: Path, url: str, until: int, kills: int, furthest: int, *, paper: bool, seed: int, limits: Limits = EAGER,
    life: Callable[..., None] = child.live,
) -> int:  # fmt: skip
    """One life after the other, each killed after so many effects, then one to the end; -> how many were killed."""
    rng, killed = random.Random(seed), 0
    for number in range(kills + 1):
        at = rng.randint(1, furthest) if number < kills else 0
        process = FORK.Process(target=life, args=(home, url, until, paper, at, limits))
        process.start()
        process.join(600)
        assert process.exitcode in (0, -9), process.exitcode
        killed += process.exitcode == -9
    return killed


@pytest.mark.parametrize("paper", [True, False], ids=["on paper", "at the account"])
def test_killed_ten_times_nothing_is_doubled_and_nothing_lost(tmp_path, paper):
    with served() as (url, box):
        until = int(box.clock.now()) + 6_300
        killed = lives(tmp_path, url, until, 10, 90, paper=paper, seed=3)
        done = check(tmp_path, box.kalshi, "100", paper=paper)

    assert killed == 10
    assert done["BUY"] > 3
    assert done["SETTLE"] > 1


def test_killed_while_orders_rest_none_is_forgotten(tmp_path):
    """Inside the spread at the account: each is taken back or filled, booked once, and none rests in the end."""
    patient = replace(EAGER, maker=MakerSettings(rest_s=20, reprices=2, liquidity=1.0))
    with served() as (url, box):
        until = int(box.clock.now()) + 2_700
        killed = lives(tmp_path, url, until, 10, 120, paper=False, seed=5, limits=patient)
        done = check(tmp_path, box.kalshi, "100", paper=False)
        waiting, placed = box.kalshi.waiting(), len(box.kalshi.orders)

    assert killed == 10
    assert waiting == []
    assert placed > 10
    assert done["BUY"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("paper", [True, False], ids=["on paper", "at the account"])
def test_days_of_turns_killed_again_and_again(tmp_path, paper):
    """A week of five-minute turns and 100 kills (short: two days, 30), anywhere among the effects of a life."""
    days, kills, effects = (7, 100, 1_500) if FULL else (2, 30, 700)
    with served(days=days + 1) as (url, box):
        until = int(box.clock.now()) + days * 86_400
        killed = lives(tmp_path, url, until, kills, effects, paper=paper, seed=11)
        done = check(tmp_path, box.kalshi, "100", paper=paper)

    assert killed == kills
    assert isinstance(done, Counter)
    assert done["SETTLE"] > 14 * days


CUTS = (
    Fault("gap", method="WS", probability=0.003), Fault("stale", method="WS", probability=0.0001),
    Fault("reset", method="WS", probability=0.0001), Fault("maintenance", method="WS", probability=0.00002),
)  # fmt: skip
"""What strikes messages of the stream: one is left out or comes twice, a connection is cut or closed."""


@pytest.mark.slow
def test_days_that_a_stream_drives_which_is_cut_and_has_holes(tmp_path):
    """`kalshi paper --stream` itself: a week and 100 kills (short: six hours, 10), its grid an hour wide.

    Books that are followed meanwhile are REST's of the same moment; what was lost comes whole again.
    """
    hours, kills, effects = (168, 100, 1_500) if FULL else (6, 10, 300)
    with served(days=hours // 24 + 1, window_ms=0) as (url, box):  # time jumps: a handshake may be on either side
        box.faults.replace(CUTS)
        begun = int(box.clock.now())
        until = begun + hours * 3_600
        with kept(url, box, listed(box.kalshi, begun, until, max(3_600, hours * 150))) as books:
            killed = lives(tmp_path, url, until, kills, effects, paper=True, seed=13, life=child.command)
            done = check(tmp_path, box.kalshi, "100", paper=True)
            struck = {rule["kind"]: rule["struck"] for rule in box.faults.to_json()}
            whole_again(Kalshi(wire(url, box.clock.now)), box, books)
        right = compared(box.kalshi, books.heard)

    turns = [utc(row["timestamp"]) for row in rows(tmp_path / "data" / "paper" / "equity.csv")]
    rung = [at for at in turns if at % child.GRID]
    broken = (tmp_path / "logs" / "kalshi.jsonl").read_text().count('"kalshi_stream_broken"')
    figures = {"turns": len(turns), "rung": len(rung), "broken": broken, "lost": books.lost, "right": right}
    logging.getLogger("desk").info("%s", figures | dict(done) | struck | {"kills": killed})  # --log-cli-level=info
    assert "Traceback" not in (tmp_path / "told.txt").read_text()
    assert killed == kills
    assert len(rung) > 8 * hours, figures
    assert min(done["BUY"], done["SETTLE"]) > hours
    assert struck["gap"] > broken > 0, figures
    assert books.lost > 0, figures
    assert right > hours, figures
