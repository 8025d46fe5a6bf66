"""A learner learns what can be learned, claims nothing else, and goes on after a stop to the same bits."""

import os

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

from evenkeel.research import exams
from evenkeel.research.ppo import Learner, PpoSettings, actor_in, predicted, probabilities
from evenkeel.research.significance import BEATS
from evenkeel.signals.policy import CLIP, MARKET, NAMES
from research import planted_school as school

TINY = PpoSettings(books=16, batch=240, epochs=2, widths=(16,))
SHORT = os.environ.get("EVENKEEL_TEST_PROFILE") == "short"


def tiny(discrete=False, seed=5):
    """Sixteen books of thirty bars."""
    batch, _, scale = school.classroom(0.2, seed, books=16, bars=30, assets=3, discrete=discrete)
    return Learner(batch, TINY, seed), scale


def assert_same(left, right):
    """The same names and bits."""
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("discrete", [False, True])
def test_what_is_planted_is_learned(discrete):
    """Far better than to hold and than chance, on later bars: the active Sharpe ratio, and the word for it."""
    learner, desk = school.learned(0.2, 3, 4, discrete=discrete)

    exam = exams.sit(desk, exams.alone(learner.actor()), school.BUDGETS)

    mine = exam.figures()
    others = [exams.sit(desk, player, school.BUDGETS).figures() for player in (exams.hold, exams.at_random(1))]
    assert mine.sharpe > 20
    assert mine.win_rate > 0.75
    assert all(other.sharpe < 5 for other in others)
    assert exams.verdict(exam, np.random.default_rng(0)).word == BEATS


@pytest.mark.slow
def test_noise_teaches_nothing_that_is_claimed():
    """In 20 markets of noise at most one actor is said to beat the risk-matched share."""
    words = []
    for seed in range(5 if SHORT else 20):
        learner, desk = school.learned(0.0, seed, 3)
        exam = exams.sit(desk, exams.alone(learner.actor()), school.BUDGETS)
        words.append(exams.verdict(exam, np.random.default_rng(seed)).word)

    assert words.count(BEATS) <= 1


@pytest.mark.parametrize("discrete", [False, True])
def test_the_same_seed_gives_the_same_weights(discrete):
    one, other = tiny(discrete)[0], tiny(discrete)[0]
    for _ in range(2):
        assert one.round() == other.round()

    assert_same(one.saved(), other.saved())


def test_another_seed_gives_other_weights():
    one, other = tiny()[0], tiny(seed=6)[0]

    assert any((x != other.networks()[name]).any() for name, x in one.networks().items())


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_is_saved_goes_on_to_the_same_bits(discrete, after):
    """A stop after any round, a new learner in another state of chance: three rounds come to what three came to."""
    whole, _ = tiny(discrete)
    first, _ = tiny(discrete)
    for _ in range(3):
        whole.round()
    for _ in range(after):
        first.round()
    saved = first.saved()

    tiny(discrete, seed=9)[0].round()  # chance is elsewhere now
    second, _ = tiny(discrete)
    second.restore(saved)
    for _ in range(3 - after):
        second.round()

    assert_same(whole.saved(), second.saved())


def test_a_round_says_what_a_window_was_worth():
    """Mean reward of a window: random actions pay their costs."""
    learner, _ = tiny()

    assert -20 < learner.round() < 0


@pytest.mark.parametrize("discrete", [False, True])
def test_a_saved_network_acts_as_the_library_predicts(discrete):
    learner, _ = tiny(discrete)
    learner.round()
    rng = np.random.default_rng(1)
    seen = rng.uniform(-CLIP, CLIP, (500, len(NAMES))).astype(np.float32)
    allowed = np.ones((500, 3), dtype=bool)
    allowed[::3, 0] = False

    theirs = predicted(learner.networks(), TINY, seen, allowed, discrete=discrete)

    ours = actor_in(learner.networks(), TINY, discrete=discrete).act(seen, allowed)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(ours, learner.actor().act(seen, allowed))


def test_probabilities_are_read_back_from_observations():
    batch, desk, scale = school.classroom(0.2, 1, books=16, bars=30, assets=3)
    seen = batch.reset()

    np.testing.assert_allclose(probabilities(seen, scale), desk.regime[batch.slots.row], atol=1e-5)


def test_a_regime_that_never_comes_teaches_the_actor_nothing():
    """Its advantages are all 0: the actor stands still while the critic learns."""
    batch, _, scale = school.classroom(0.2, 1, books=16, bars=30, assets=3)
    batch.market[:, :, MARKET.index("p_down")] = -scale.mean[MARKET.index("p_down")] / scale.sd[MARKET.index("p_down")]
    learner = Learner(batch, TINY, 1)
    learner.prefer("down", scale)
    before = learner.networks()
    learner.round()

    moved = {name for name, x in learner.networks().items() if not np.allclose(x, before[name], atol=1e-6)}
    assert moved
    assert all("value" in name for name in moved)
