"""Who speaks for a series and how far it is believed: what was not measured has no skill."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenkeel.events.evidence import Voices, interval, trusted, voices
from evenkeel.events.fair import Fair
from evenkeel.events.fitted import Known, Part
from evenkeel.events.stake import UNPROVEN, Skill
from events.laddered import NOW, board, made

PROVEN = Skill(412, 0.5, 0.05)


class Says:
    """A model that says one number."""

    def __init__(self, name, p):
        self.name, self.p = name, p

    def __call__(self, board, spots):
        """The same of everything."""
        return Fair(np.full(len(board.contracts), self.p), np.full(len(board.contracts), 0.02))


def part(name, skill, p=0.52):
    return Part(name, Says(f"{name}@v1", p), skill, {}, None, NOW + 60)


GOOD = part("lognormal", {"KXBTCD": PROVEN, "KXETHD": Skill(20, 0.9, math.nan)})
OTHER = part("calibration", {"KXETHD": Skill(400, 0.1, 0.01)}, p=0.60)
KNOWN = Known("v1", "", (GOOD, OTHER))
NAMES = ("KXBTCD", "KXETHD", "KXSOLD")


def rows():
    return board(*(made(floor=1.0, ticker=f"{name}-X-1") for name in NAMES))


def test_each_series_is_spoken_for_by_its_best_part_and_the_rest_has_no_skill():
    found = voices(KNOWN, NAMES, NOW)

    assert {name: found.of(name) for name in NAMES} == {
        "KXBTCD": PROVEN,
        "KXETHD": Skill(400, 0.1, 0.01),
        "KXSOLD": UNPROVEN,
    }
    assert found.name == "calibration@v1+lognormal@v1"
    assert found(rows(), {}).p == pytest.approx([0.52, 0.60, math.nan], nan_ok=True)


def test_without_a_bundle_or_after_its_end_nothing_has_skill():
    assert voices(None, NAMES, NOW).of("KXBTCD") is UNPROVEN
    assert voices(None, NAMES, NOW).name == "lognormal"
    assert Voices(NOW + 61, {"KXBTCD": GOOD}).of("KXBTCD") is UNPROVEN


def test_each_contract_is_believed_by_its_own_series():
    """Mid 0.42 and model 0.52: half of the gap where k = 0.5 is proven, the market itself where nothing is."""
    said = Fair(np.full(3, 0.52), np.full(3, 0.02))
    staked = trusted(rows(), said, Voices(NOW, {"KXBTCD": GOOD, "KXETHD": GOOD}))

    assert staked.p == pytest.approx([0.47, 0.42, 0.42])
    assert staked.error == pytest.approx([math.hypot(0.10 * 0.05, 0.5 * 0.02), 0.0, 0.0])


def test_the_interval_holds_the_middle_80_percent():
    low, high = interval(Skill(400, 0.2, 0.1))

    assert (low, high) == pytest.approx((0.2 - 0.128155, 0.2 + 0.128155), abs=1e-6)
