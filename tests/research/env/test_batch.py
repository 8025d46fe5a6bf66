"""What a batch of books promises those who learn on it."""

from dataclasses import replace

import gymnasium.utils.env_checker
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env

from evenkeel.errors import DataError
from evenkeel.research.env import batch as lessons
from evenkeel.research.env import slots
from evenkeel.research.env.single import SlotEnv
from evenkeel.research.env.tape import scale_of, tape
from evenkeel.signals import policy
from evenkeel.signals.compute import compute
from laws import world
from research.env import school

BUY, SELL, HOLD = range(3)


@pytest.mark.parametrize("discrete", [False, True])
def test_one_book_passes_both_checkers(discrete):
    check_env(SlotEnv(school.books(1, discrete=discrete)))
    gymnasium.utils.env_checker.check_env(SlotEnv(school.books(1, discrete=discrete)), skip_render_check=True)


def test_the_same_seed_and_actions_give_the_same_bits():
    one, other = school.books(32), school.books(32)
    np.testing.assert_array_equal(one.reset(), other.reset())
    rng = np.random.default_rng(0)
    for _ in range(130):
        action = rng.uniform(-1, 1, 32)
        for ours, theirs in zip(one.step(action), other.step(action), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_book_does_not_depend_on_its_neighbours():
    one, alone = school.books(4), school.books(1)
    one.reset()
    alone.reset()
    alone.slots.open(np.array([True]), one.slots.row[2:3], one.slots.asset[2:3], one.slots.budget[2:3])
    alone.worth[:], alone.end[:] = one.worth[2], one.end[2]
    rng = np.random.default_rng(1)
    for _ in range(100):
        action = rng.uniform(-1, 1, 4)
        came, mine = one.step(action), alone.step(action[2:3])
        assert came.reward[2] == mine.reward[0]
        np.testing.assert_array_equal(came.seen[2], mine.seen[0])


def test_nothing_that_is_observed_or_done_reads_a_later_bar():
    """A future of noise and NaN changes no observation, and no reward but that of the bar whose orders fill in it."""
    panel = world.panel(1, 10, 1_800, 2.5)
    cut = len(panel.time) - 60
    rng = np.random.default_rng(5)
    poisoned = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(panel, name).copy()
        values[cut:] = np.where(rng.random(values[cut:].shape) < 0.3, np.nan, values[cut:] * rng.uniform(0.5, 2.0))
        poisoned[name] = values
    seen = []
    for shown in (panel, replace(panel, **poisoned)):
        signals = compute(shown, world.Brain(), school.QUIET, world.first_row(shown))
        made = tape(signals, world.RULES)
        scale = scale_of(school.market()[0], slice(None))
        last = cut - world.first_row(shown) - 1
        plan = lessons.Lesson(bars=120)
        where = lessons.Windows(np.arange(last - 120, last - 119), np.array([5]))
        books = lessons.batch(made, scale, school.rules(), plan, where, 1, 0)
        path = [books.reset()[0]]
        steps = np.random.default_rng(6)
        path += [books.step(steps.uniform(-1, 1, 1)).last[0] for _ in range(120)]
        assert made.time[last] == panel.time[cut - 1]  # the last bar before the poison is observed, too
        seen.append(np.array(path))
    np.testing.assert_array_equal(seen[0], seen[1])


def test_nothing_invalid_is_done_under_the_mask_in_a_million_steps():
    deep = school.rules(participation=1.0)  # or the liquidity cap shrinks what is held
    books = school.books(2_000, only=deep, discrete=True, bars=100)
    books.reset()
    rng = np.random.default_rng(2)
    done = 0
    while done < 1_000_000:
        allowed = books.allowed()
        action = np.argmax(np.where(allowed, rng.random(allowed.shape), -1.0), axis=1)
        before, asset, row = books.slots.units.copy(), books.slots.asset.copy(), books.slots.row.copy()
        cash, cooling = books.slots.cash.copy(), books.slots.cooling > books.tape.time[row]
        came = books.step(action)
        on = ~came.done
        bought, sold = on & (books.slots.units > before), on & (books.slots.units < before)
        assert not (bought & (action != BUY)).any()
        assert not ((action == BUY) & (cooling | (cash <= 0))).any()
        assert not ((action == SELL) & (before <= 0)).any()
        assert (books.slots.cash >= 0).all()
        assert (books.slots.units >= 0).all()
        stopped = books.slots.cooling > books.tape.time[books.slots.row]
        assert not (sold & (action != SELL) & ~stopped & (books.slots.asset == asset)).any()
        done += len(action)


def test_budgets_truly_differ():
    """Half of a small book is less than a venue's least order; a large one moves the market that it meets."""
    made, _ = school.market()
    only = school.rules(participation=1.0)
    asset = 9
    lost = {}
    for budget in (15.0, 1_000.0, 1e6):
        held = slots.empty(1)
        held.open(np.array([True]), np.array([5]), np.array([asset]), np.array([budget]))
        slots.trade(made, held, only, np.array([0.5]))
        lost[budget] = 1.0 - float(slots.equity(made, held)[0]) / budget
        assert (held.units[0] > 0) == (budget > 20.0)
    assert lost[1e6] > 1.5 * lost[1_000.0]


def test_the_inputs_in_training_are_those_in_service():
    made, scale = school.market()
    row, asset = 40, 3
    signals = world.judged(world.Brain(), 1, 10, 1_800, 2.5, school.QUIET)
    view = signals.at(int(made.time[row]), 0)
    raw = policy.market_part(view.features, view.market, view.regime)
    np.testing.assert_array_equal(scale.of(raw)[asset], made.scaled(scale)[row, asset])


def test_no_window_that_fits_is_said():
    made, _ = school.market()
    with pytest.raises(DataError, match=r"no window of 5000 bars fits: 530 rows of 12 assets"):
        lessons.windows(made, lessons.Lesson(bars=5_000), slice(None))
