"""Ranks and smoothed means against slow plain twins, to the bit."""

import numpy as np
import pytest
import world

from evenkeel.signals.rank import ranks, smooth, zscores

ROWS, SIZE = 600, 7


def table(seed, kind):
    """Random rows, some unknown; `ties`: few different values, zeros of both signs; `gaps`: whole rows and columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, SIZE))
    if kind == "ties":
        x = np.round(x) * rng.choice([-1.0, 0.0, 1.0], x.shape)
    x[rng.random(x.shape) < 0.1] = np.nan
    if kind == "gaps":
        x[100:220], x[:, 3], x[300, 1:] = np.nan, np.nan, np.nan
    return x


def ranked(row):
    """One row's ranks: how many are smaller, and half of the equals."""
    known = row[np.isfinite(row)]
    below = [(known < v).sum() + ((known == v).sum() - 1) / 2 for v in row]
    scaled = [b / (len(known) - 1) - 0.5 if len(known) > 1 else 0.0 for b in below]
    return np.where(np.isfinite(row), scaled, np.nan)


def smoothed(x, half_life, window):
    """Newest first, one number after another."""
    out = np.full(x.shape, np.nan)
    for t, i in np.argwhere(np.isfinite(x)):
        total = weight = 0.0
        for lag in range(min(window, t + 1)):
            factor, value = 0.5 ** (lag / half_life), x[t - lag, i]
            total += factor * value if np.isfinite(value) else 0.0
            weight += factor if np.isfinite(value) else 0.0
        out[t, i] = total / weight
    return out


@pytest.mark.parametrize("kind", ["plain", "ties", "gaps"])
@pytest.mark.parametrize("seed", range(3))
def test_ranks_and_means_equal_their_twins(seed, kind):
    x = table(seed, kind)

    assert world.same_bits(ranks(x), np.array([ranked(row) for row in x]))
    assert world.same_bits(smooth(x, 5.0, 24), smoothed(x, 5.0, 24))


def test_a_row_has_its_bits_wherever_the_table_begins():
    """Rows are cut into blocks inside: no block may show."""
    x = table(5, "ties")
    for begin in (1, 37, 512):
        assert world.same_bits(ranks(x[begin:]), ranks(x)[begin:])
        assert world.same_bits(zscores(x[begin:]), zscores(x)[begin:])
        assert world.same_bits(smooth(x[begin:], 5.0, 24)[24:], smooth(x, 5.0, 24)[begin + 24 :])
    long = np.tile(x, (9, 1))
    assert world.same_bits(smooth(long[37:], 5.0, 24)[24:], smooth(long, 5.0, 24)[37 + 24 :])


def test_scores_have_mean_zero_and_deviation_one_and_a_constant_row_is_zero():
    x = np.array([[1.0, 2.0, 3.0, np.nan], [4.0, 4.0, np.nan, 4.0], [np.nan] * 4])
    z = zscores(x)

    np.testing.assert_allclose(z[0], [-(1.5**0.5), 0.0, 1.5**0.5, np.nan])
    np.testing.assert_array_equal(z[1:], [[0.0, 0.0, np.nan, 0.0], [np.nan] * 4])
