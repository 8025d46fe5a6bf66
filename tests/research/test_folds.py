"""No label of a trained decision ends after its test begins; nobody reads the holdout unseen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evenkeel.errors import DataError, EvidenceError, NotReadyError
from evenkeel.market.panel import panel
from evenkeel.research import folds

HOUR, DAY = 3600, 86_400


def small(bars, last):
    close = np.ones((bars, 3))
    time = last - HOUR * np.arange(bars)[::-1]
    return panel(time, ("BTC", "ETH", "SOL"), close, close, close, close, close, HOUR)


@settings(max_examples=200, deadline=None)
@given(
    days=st.integers(20, 900),
    step_h=st.integers(1, 24),
    count=st.integers(1, 12),
    horizon_h=st.integers(1, 72),
    bar_s=st.sampled_from([900, 1800, 3600]),
    embargo_h=st.integers(0, 48),
    first_train=st.floats(0.1, 0.9),
    rolling=st.none() | st.integers(15, 200),
)
def test_every_trained_label_and_the_embargo_end_before_the_test(
    days, step_h, count, horizon_h, bar_s, embargo_h, first_train, rolling
):
    time = 1_700_000_000 // HOUR * HOUR + step_h * HOUR * np.arange(days * 24 // step_h)
    gap = folds.purge_s(horizon_h, bar_s)
    try:
        made = folds.walk_forward(
            int(time[0]),
            int(time[-1]),
            count=count,
            gap_s=gap,
            embargo_s=embargo_h * HOUR,
            first_train=first_train,
            train_s=rolling and rolling * DAY,
        )
    except NotReadyError:
        assume(False)

    assert len(made) == count
    tested = np.zeros(len(time), dtype=int)
    for fold in made:
        train, test = fold.train(time), fold.test(time)
        assert (time[train] + bar_s + horizon_h * HOUR + embargo_h * HOUR <= time[test].min()).all()
        assert not (train & test).any()
        tested += test
        fit_until, stop_from = folds.inner(fold, gap)
        assert fit_until + gap <= stop_from <= fold.train_until
    assert tested.max() <= 1
    assert tested[time >= made[0].test_from].all()


def test_a_planted_overlap_is_caught():
    fold = folds.walk_forward(0, 100 * DAY, count=2, gap_s=25 * HOUR)[1]
    folds.require_purged(fold, np.array([fold.train_until]), 25 * HOUR)

    with pytest.raises(EvidenceError, match="purge the train window"):
        folds.require_purged(fold, np.array([fold.train_until + HOUR]), 25 * HOUR)
    with pytest.raises(EvidenceError, match="fold 1"):
        folds.require_purged(replace(fold, test_from=fold.train_until), np.array([fold.train_until]), 25 * HOUR)


def test_too_little_history_says_how_little():
    with pytest.raises(NotReadyError, match="20 days give"):
        folds.walk_forward(0, 20 * DAY, count=5, gap_s=25 * HOUR)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"first_train": 1.0}, {"embargo_s": -1}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(DataError):
        folds.walk_forward(0, 900 * DAY, **({"count": 2, "gap_s": HOUR} | wrong))


def test_held_out_bars_are_cut_off_before_anything_is_computed():
    market = small(100, folds.HOLDOUT_FROM + 10 * HOUR)

    seen = folds.visible(market)

    assert int(seen.time[-1]) == folds.HOLDOUT_FROM
    assert len(seen.time) == 90


def test_every_use_of_the_holdout_is_written_down(tmp_path):
    log = tmp_path / "models" / "holdout.log"
    market = small(100, folds.HOLDOUT_FROM + 10 * HOUR)

    for purpose in ("evaluate alpha v1", "walkforward"):
        whole = folds.visible(market, use=folds.HoldoutUse(log, 1_763_700_000, purpose))
        assert whole is market

    lines = log.read_text().splitlines()
    assert lines[0] == ("2025-11-21T04:40:00Z evaluate alpha v1: bars 2025-07-01T00:00:00Z to 2025-07-01T10:00:00Z")
    assert lines[1].startswith("2025-11-21T04:40:00Z walkforward: ")


def test_data_before_the_holdout_needs_no_leave(tmp_path):
    market = small(100, folds.HOLDOUT_FROM)
    log = tmp_path / "holdout.log"

    assert folds.visible(market) is market
    assert folds.visible(market, use=folds.HoldoutUse(log, 0, "x")) is market
    assert not log.exists()
