"""What was measured of a model travels by a file; what was not measured has no skill."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenkeel.errors import ArtifactError
from evenkeel.events.evidence import Evidence, dumped, interval, loaded, trusted
from evenkeel.events.fair import Fair
from evenkeel.events.stake import UNPROVEN, Skill
from events.laddered import board, made

MEASURED = Evidence("lognormal", {"KXBTCD": Skill(412, 0.5, 0.05), "KXETHD": Skill(20, 0.9, math.nan)})


def test_a_series_that_was_not_measured_has_no_skill():
    assert MEASURED.of("KXBTCD") == Skill(412, 0.5, 0.05)
    assert MEASURED.of("KXSOLD") is UNPROVEN


def test_the_file_gives_back_what_was_written():
    back = loaded(dumped(MEASURED), "evidence.json")

    assert back.model == "lognormal"
    assert back.of("KXBTCD") == Skill(412, 0.5, 0.05)
    assert back.of("KXETHD").events == 20
    assert math.isnan(back.of("KXETHD").error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 1, "model": "x", "series": {"A": {}}}',
        b'{"schema": 1, "model": "x", "series": {"A": {"events": -1, "k": 0, "error": 0}}}',
        b'{"schema": 1, "model": "x", "series": {"A": {"events": 1, "k": "NaN", "error": 0}}}',
    ],
)
def test_what_is_no_evidence_is_refused_in_words(raw):
    with pytest.raises(ArtifactError, match=r"evidence\.json is no evidence"):
        loaded(raw, "evidence.json")


def test_a_newer_file_asks_for_a_newer_program():
    with pytest.raises(ArtifactError, match="schema 2"):
        loaded(b'{"schema": 2}', "evidence.json")


def test_each_contract_is_believed_by_its_own_series():
    """Mid 0.42 and model 0.52: half of the gap where k = 0.5 is proven, the market itself elsewhere."""
    rows = [made(floor=1.0, ticker=f"{name}-X-1") for name in ("KXBTCD", "KXETHD", "KXSOLD")]
    staked = trusted(board(*rows), Fair(np.full(3, 0.52), np.full(3, 0.02)), MEASURED)

    assert staked.p == pytest.approx([0.47, 0.42, 0.42])
    assert staked.error == pytest.approx([math.hypot(0.10 * 0.05, 0.5 * 0.02), 0.0, 0.0])


def test_the_interval_holds_the_middle_80_percent():
    low, high = interval(Skill(400, 0.2, 0.1))

    assert (low, high) == pytest.approx((0.2 - 0.128155, 0.2 + 0.128155), abs=1e-6)
