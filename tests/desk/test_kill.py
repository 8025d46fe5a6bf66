"""kill -9 at any effect: nothing doubled, nothing lost, every market settled once, all rows agree with the venue."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from desk import child
from desk.checker import check
from desk.world import EAGER, served
from evenkeel.desk.decide import Limits
from evenkeel.desk.maker import MakerSettings
from evenkeel.sandbox import kalshi_keys

FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
FORK = get_context("forkserver")
FORK.set_forkserver_preload([
    "evenkeel.desk.sight", "evenkeel.desk.turn", "evenkeel.market.synthetic", "evenkeel.sandbox.app",
    "evenkeel.venues.kalshi_broker", "evenkeel.venues.kalshi_paper", "requests",
])  # fmt: skip


def lives(
    home: Path, url: str, until: int, kills: int, furthest: int, *, paper: bool, seed: int, limits: Limits = EAGER
) -> int:
    """One life after the other, each killed after so many effects, then one to the end; -> how many were killed."""
    rng, killed = random.Random(seed), 0
    key = None if paper else (kalshi_keys.key_id(7), kalshi_keys.pem(7))
    for life in range(kills + 1):
        at = rng.randint(1, furthest) if life < kills else 0
        process = FORK.Process(target=child.live, args=(home, url, until, key, at, limits))
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
