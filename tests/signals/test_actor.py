"""An actor is its layers written out, what is compiled is what its formulas say, several speak by their parts."""

from itertools import pairwise

import numpy as np
import pytest

from evenkeel.signals.actor import CACHE_LINE, SATURATED, Actor, aligned, routed
from evenkeel.signals.means import trailing
from evenkeel.signals.network import answer, bend
from signals.straight import line


def floats(x):
    """As an actor has them."""
    return np.asarray(x, dtype=np.float32)


def random_actor(rng, *widths):
    """An actor that bends and does not go flat everywhere."""
    return Actor(
        tuple(
            (floats(rng.normal(0, 0.4, (after, before))), floats(rng.normal(0, 0.5, after)))
            for before, after in pairwise(widths)
        )
    )


def test_bend_is_tanh_to_float32_everywhere():
    """Against numpy's in double precision: dense where it bends, and far out."""
    z = floats(np.concatenate([np.linspace(-12, 12, 400_001), [-1e30, -100, 100, 1e30]]))
    x = z.reshape(1, -1).copy()
    bend(x, floats(np.zeros(len(z))))
    np.testing.assert_allclose(x[0], np.tanh(z.astype(np.float64)), atol=2.5e-7, rtol=0)


@pytest.mark.parametrize("width", [4, 64])
def test_what_is_infinite_bends_to_one_and_what_is_no_number_stays_none(width):
    x = floats([[np.nan, np.inf, -np.inf, 0.0] * (width // 4)])
    bend(x, floats([0.0] * width))
    np.testing.assert_array_equal(x, [[np.nan, 1.0, -1.0, 0.0] * (width // 4)])


@pytest.mark.parametrize("size", [1, 2, 7, 88, 1_000])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("hidden", [(9,), (13, 9), (64, 64), (5, 3, 7)])
def test_an_actor_is_its_layers_written_out(size, outputs, hidden):
    """Every bias in its place, whatever is asked at once: the formula in double precision is the twin."""
    rng = np.random.default_rng(size)
    actor = random_actor(rng, 43, *hidden, outputs)
    seen = floats(rng.uniform(-5, 5, (size, 43)))
    twin = seen.astype(np.float64)
    for weight, bias in actor.layers[:-1]:
        twin = np.tanh(twin @ weight.T.astype(np.float64) + bias)
    twin = twin @ actor.layers[-1][0].T.astype(np.float64) + actor.layers[-1][1]
    if outputs == 1:
        twin = np.where(np.abs(twin) < SATURATED, np.clip(twin, -1.0, 1.0), np.nan)
    kept = seen.copy()

    found = actor.merits(seen)

    np.testing.assert_allclose(found, twin, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(seen, kept)
    assert found.dtype == np.float64


@pytest.mark.parametrize("width", [1, 3, 43, 64])
def test_what_is_multiplied_begins_with_a_cache_line_wherever_numpy_begins(width):
    rng = np.random.default_rng(width)
    for _ in range(8):
        weight = floats(rng.normal(size=(64, width)))
        np.testing.assert_array_equal(aligned(weight.T), weight.T)
        one = random_actor(rng, width, 64, 64, 1)
        for wide in (one._first, *(inner for _, inner in one._inner)):
            assert wide.ctypes.data % CACHE_LINE == 0
            assert wide.flags.c_contiguous


def test_an_action_is_cut_and_beyond_belief_it_is_none():
    """The bias alone speaks; what is said of moves stays as it is."""
    said = [0.0, -0.25, 1.0, -1.0, 1.5, -4.9, SATURATED, -7.0, np.inf, -np.inf, np.nan]
    wanted = [0.0, -0.25, 1.0, -1.0, 1.0, -1.0, np.nan, np.nan, np.nan, np.nan, np.nan]
    found = [answer(floats([[0.0]]), floats([0.0]), floats([[3.0]]), floats([x]), SATURATED)[0, 0] for x in said]
    np.testing.assert_array_equal(found, wanted)
    moves = answer(floats([[0.0]]), floats([0.0]), floats([[3.0]] * len(said)), floats(said), SATURATED)
    np.testing.assert_array_equal(moves, floats([said]))


def test_who_asks_for_less_is_told_less():
    assert line(2.0).merits(floats(np.zeros((1, 43))), most=2.5) == 1.0
    assert np.isnan(line(2.0).merits(floats(np.zeros((1, 43))), most=1.5))


def test_who_sees_what_is_no_number_chooses_no_move():
    rng = np.random.default_rng(1)
    actor, seen, allowed = random_actor(rng, 43, 5, 3), floats(rng.normal(size=(3, 43))), np.ones((3, 3), dtype=bool)
    seen[1, 4] = np.nan
    merits = actor.merits(seen)
    np.testing.assert_array_equal(np.isnan(actor.act(seen, allowed)), [False, True, False])
    np.testing.assert_array_equal(
        np.isnan(routed([merits, merits], np.array([0.5, 0.5]), allowed)), [False, True, False]
    )


def test_continuous_actors_are_averaged_by_each_rows_own_parts():
    """The twin goes row by row; where one is beyond belief nobody speaks, also where it does not count."""
    rng = np.random.default_rng(2)
    merits = [rng.uniform(-1, 1, (50, 1)) for _ in range(3)]
    merits[1][7] = np.nan
    part = rng.dirichlet([1, 1, 1], 50).T
    part[:, 7] = [0.5, 0.0, 0.5]
    found = routed(merits, part, np.ones((50, 3), dtype=bool))
    for i in range(50):
        wanted = sum(part[k, i] * merits[k][i, 0] for k in range(3))
        assert found[i] == (pytest.approx(wanted, abs=1e-12) if i != 7 else pytest.approx(np.nan, nan_ok=True))


def test_only_the_actor_leaves_its_last_bit_to_the_processor():
    """It may add in another order and make one of a product and a sum; no other freedom is taken, and other threads may
    run meanwhile.
    """
    for one in (bend, answer):
        assert one.targetoptions["fastmath"] == {"contract", "reassoc"}
        assert one.targetoptions["nogil"]
    assert not trailing.targetoptions["fastmath"]
