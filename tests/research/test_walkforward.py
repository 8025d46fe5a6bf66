"""Rolling refits: every test is out of sample, no number looks ahead, and what looks too good is called a leak."""

from dataclasses import replace

import numpy as np
import pytest

from evenkeel.market import panel as panels
from evenkeel.research import dataset, folds, walkforward
from evenkeel.research.evidence import Evidence
from evenkeel.research.fitting import TrainSettings
from evenkeel.signals.blend import PRIOR_STRENGTH

HOUR = 3600
SETTINGS = TrainSettings(step_h=6, folds=3, min_history_days=7.0, embargo_h=0)
QUICK = {
    "num_leaves": 5, "learning_rate": 0.1, "min_data_in_leaf": 100, "feature_fraction": 0.5, "bagging_fraction": 0.7,
    "lambda_l2": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def walked(market):
    """Walk over the small market."""
    return walkforward.walk(market, SETTINGS, QUICK, jobs=2)


def test_every_model_is_valid_before_its_test_and_after_its_training(walked, market):
    gap = folds.purge_s(24, market.bar_s)

    for step in walked.steps:
        assert step.model.valid_from(market.bar_s) <= step.fold.test_from
        assert step.fold.train_until + gap <= step.fold.test_from
        assert step.model.expires >= step.fold.test_until
    starts = [model.valid_from(market.bar_s) for model in walked.models]
    assert starts == sorted(starts)
    assert len({model.digest for model in walked.models}) == 3


def test_one_job_or_two_give_the_same_models(walked, market):
    alone = walkforward.walk(market, SETTINGS, QUICK, jobs=1)

    assert [model.digest for model in alone.models] == [model.digest for model in walked.models]
    assert alone.mixed == walked.mixed


def test_a_strength_knows_only_the_tests_before(walked, market):
    """The first fold has none and gets the prior; what comes after a fold's start does not reach its strength."""
    cut = walked.steps[2].fold.test_from
    row = int(np.searchsorted(market.time, cut))
    rng = np.random.default_rng(3)
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    noise = np.exp(0.05 * rng.standard_normal(fields["close"][row + 2 :].shape))
    for name in ("open", "high", "low", "close"):
        fields[name][row + 2 :] *= noise
    other = panels.panel(market.time, market.assets, bar_s=HOUR, **fields)

    again = walkforward.walk(other, SETTINGS, QUICK)

    assert walked.steps[0].model.strength == PRIOR_STRENGTH
    for ours, theirs in zip(walked.models, again.models, strict=True):
        assert ours.strength == theirs.strength
    assert again.steps[0].found[24] == walked.steps[0].found[24]
    assert again.steps[2].found[24] != walked.steps[2].found[24]


def test_a_random_walk_gives_no_alarm(walked):
    assert not walked.leaking
    assert abs(walked.mixed.rank_ic) < 0.1


def test_a_feature_that_leads_by_one_bar_sets_off_the_alarm(market, monkeypatch):
    """Planted: a column of the inputs is the return that follows, with noise."""
    honest = dataset.build

    def leaking(panel, **settings):
        data = honest(panel, **settings)
        told = np.nan_to_num(data.returns[24])
        noise = np.random.default_rng(1).standard_normal(told.shape) * told.std()
        inputs = data.x.copy()
        inputs[:, :, 0] = told + noise
        return replace(data, x=inputs)

    monkeypatch.setattr(walkforward.dataset, "build", leaking)
    found = walkforward.walk(market, replace(SETTINGS, folds=2, first_train=0.3), QUICK)

    assert found.days >= walkforward.LEAK_DAYS
    assert found.found[24].ic > 0.3
    assert found.leaking


@pytest.mark.parametrize(
    ("ic", "neutral", "days", "alarm"),
    [(0.11, 0.0, 60, True), (0.09, 0.13, 60, True), (0.09, 0.11, 60, False), (0.5, 0.5, 59, False)],
)
def test_the_limits_of_the_alarm(walked, ic, neutral, days, alarm):
    told = replace(_nothing(walked.mixed), ic=ic, rank_ic_neutral=neutral)

    assert replace(walked, found={}, mixed=told, days=days).leaking is alarm


def _nothing(like: Evidence) -> Evidence:
    return replace(like, **{name: 0.0 for name in like.__dataclass_fields__ if name != "decisions"})
