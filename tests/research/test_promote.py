"""The champion stays unless the challenger is better on common bars that neither was trained on."""

import math

import numpy as np
import pytest

from evenkeel.research.promote import Duel, duel, judged_from, verdict

DAY = 86_400
GOOD = Duel(0, 120 * DAY, 900, 0.01, 1.5, 0.0002, 0.0003)


def test_an_empty_place_is_taken():
    assert verdict(None).promoted


def test_a_better_challenger_takes_over():
    found = verdict(GOOD)

    assert found.promoted
    assert "IC +0.0100 (t 1.50)" in found.sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"until": 89 * DAY}, "only 89 days"),
        ({"ic_t": 0.99}, "t 1 is needed"),
        ({"ic_t": math.nan}, "t 1 is needed"),
        ({"net": -0.0004}, "worse by more than one standard error"),
        ({"net": math.nan}, "worse by more than one standard error"),
        ({"net_se": math.nan}, "worse by more than one standard error"),
    ],
)
def test_otherwise_the_champion_stays(changes, words):
    found = verdict(Duel(**({name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__} | changes)))

    assert not found.promoted
    assert found.sentence.startswith("the champion stays")
    assert words in found.sentence


def test_a_net_return_within_one_standard_error_is_enough():
    assert verdict(Duel(0, 120 * DAY, 900, 0.01, 1.5, -0.0003, 0.0003)).promoted


def test_bars_count_after_both_trainings():
    assert judged_from(5, 9) == judged_from(9, 5) == 9


def test_the_pairing_uses_common_decisions_only():
    champion = np.array([0.1, np.nan, 0.2, 0.0, 0.1, 0.3])
    challenger = np.array([0.2, 0.9, 0.2, np.nan, 0.4, 0.3])
    flat = np.array([0.01, -0.02, 0.03, 0.0])

    found = duel(0, DAY, champion, challenger, 1, flat, flat + np.array([0.01, 0.0, 0.02, np.nan]))

    assert found.decisions == 4
    assert found.ic == pytest.approx(0.1)
    assert found.net == pytest.approx(0.01)
    assert found.net_se > 0


def test_the_same_model_never_replaces_itself():
    ic, net = np.random.default_rng(1).standard_normal((2, 300))

    found = duel(0, 200 * DAY, ic, ic, 4, net, net)

    assert found.net == found.net_se == 0.0
    assert not verdict(found).promoted
