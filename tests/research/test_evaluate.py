"""A model is judged on what it was not trained on, as it is served."""

from dataclasses import replace

import numpy as np
import pytest

from evenkeel.errors import NotReadyError
from evenkeel.market.panel import rows
from evenkeel.research.evaluate import evaluate
from evenkeel.research.promote import duel, judged_from, verdict
from evenkeel.signals import alpha

HOUR, DAY = 3600, 86_400


@pytest.fixture(scope="module")
def models(trained, market):
    """Two versions of the small model that say they were trained until two different days."""
    model = alpha.load(trained.bundle.path, HOUR)
    early, late = int(market.time[40 * 24]), int(market.time[50 * 24])
    return replace(model, train_end=early), replace(model, train_end=late)


def test_only_decisions_after_the_training_count(models, market):
    for model in models:
        found = evaluate(model, market)

        assert int(found.time[0]) >= model.valid_from(HOUR)
        assert int(found.time[0]) < model.valid_from(HOUR) + 3 * HOUR
        assert found.evidence.decisions > 300


def test_two_models_are_judged_on_common_decisions(models, market):
    early, late = models
    since = judged_from(early.valid_from(HOUR), late.valid_from(HOUR))
    left, right = (evaluate(model, market, since=since) for model in models)

    found = duel(since, int(left.time[-1]), left.series["ic"], right.series["ic"], 8, np.zeros(40), np.zeros(40))

    np.testing.assert_array_equal(left.time, right.time)
    assert not verdict(found).promoted


def test_a_model_younger_than_the_data_cannot_be_judged(trained, market, models):
    with pytest.raises(NotReadyError, match="can be judged from"):
        evaluate(alpha.load(trained.bundle.path, HOUR), market)
    with pytest.raises(NotReadyError, match="load bars"):
        evaluate(models[1], rows(market, 0, 51 * 24))
