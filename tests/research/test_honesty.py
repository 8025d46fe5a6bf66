"""Honesty: sound code passes every check, and each check finds the crime that it is there for."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import planted
import pytest
import world

from evenkeel.errors import NotReadyError
from evenkeel.market import features
from evenkeel.market import panel as panels
from evenkeel.research import causality, fitting, folds, honesty, leakage
from evenkeel.research.causality import Subject, Window
from evenkeel.research.fitting import TrainSettings
from evenkeel.signals import rule as rules
from evenkeel.types import Brain

SEED = 3
NAMES = [
    "truncation", "future of NaN", "future of noise", "permuted labels", "lagged features", "planted lead",
    "leak alarm", "purge", "decision time", "recomputed decisions",
]  # fmt: skip


@pytest.fixture(scope="module")
def market():
    """A hundred and fifty hourly days of the small world: enough for two months of tests."""
    settings = world.synthetic.SyntheticSettings(seed=5, epoch=world.START - 150 * world.DAY, late_asset="")
    return world.synthetic.market(world.PAIRS, world.START - 150 * world.DAY, world.START, 3600, settings)


@pytest.fixture(scope="module")
def subject(market):
    """That market and the rules of the small world."""
    return Subject(market, Brain(), world.RULES, world.SIGNALS, world.CADENCE, Decimal(100_000))


@pytest.fixture(scope="module")
def sample(market):
    """Its decisions and folds."""
    return leakage.sample_of(market, TrainSettings(folds=2, min_history_days=7.0))


@pytest.fixture(scope="module")
def observe():
    """All signals."""
    return causality.observing(Brain(), world.SIGNALS)


@pytest.fixture(scope="module")
def some(market):
    """Two windows with twelve times."""
    return causality.windows(market, 12, "BTC", SEED)[:2]


@pytest.fixture(scope="module")
def replayed(subject):
    """Two days of decisions."""
    return causality.replayed(subject, 2)


# ---------------------------------------------------------------- the whole command


@pytest.fixture(scope="module")
def verdicts(subject):
    """Few times and seeds, by check: on the code as it stands, and with a feature that leads by one bar."""
    amount, counted = honesty.Amount(times=12, seeds=2, seed=SEED), []
    found = [
        {c.name: c for c in honesty.examine(subject, amount, plant=plant, advance=counted.append)}
        for plant in (False, True)
    ]
    assert 0 < sum(counted) <= 2 * honesty.work(amount)
    return found


@pytest.mark.slow
def test_sound_code_passes_every_check(verdicts):
    assert list(verdicts[0]) == NAMES
    assert {name for name, check in verdicts[0].items() if check.verdict != "ok"} == set()


@pytest.mark.slow
def test_a_planted_feature_that_leads_by_one_bar_fails_the_whole(verdicts):
    """Recomputing names it, its IC rings the alarm, and what does not look at features goes on passing."""
    failed = {name for name, check in verdicts[1].items() if check.failed}

    assert failed == {"truncation", "future of NaN", "future of noise", "leak alarm"}
    assert "planted lead changed" in verdicts[1]["truncation"].text
    assert verdicts[1]["leak alarm"].figure > 0.10


def test_too_short_a_panel_is_not_ready(subject):
    short = replace(subject, panel=panels.rows(subject.panel, 0, 20 * 24))

    with pytest.raises(NotReadyError, match="too little history"):
        list(honesty.examine(short, honesty.Amount(times=10, seeds=1)))


# ---------------------------------------------------------------- causality


def test_every_asset_and_every_wanted_time_is_looked_at(market):
    """No row twice within a window; the benchmark is in each."""
    found = causality.windows(market, 40, "BTC", SEED)

    assert sum(len(set(window.rows)) for window in found) == 40
    assert {asset for window in found for asset in window.panel.assets} == set(market.assets)
    assert all(window.first <= row < len(window.panel.time) for window in found for row in window.rows)


@pytest.mark.parametrize("plant", [planted.peeking, planted.demeaned], ids=["next row", "mean of all rows"])
def test_an_opinion_that_looks_ahead_is_named(monkeypatch, some, plant):
    monkeypatch.setattr(rules, "rule", plant(rules.rule))
    told = causality.observing(Brain(), world.SIGNALS)

    for check in (causality.truncation(some, told), causality.poisoned(some, told, "noise", SEED)):
        assert check.failed
        assert "opinion rule changed" in check.text


def test_what_leads_is_found_at_a_single_time(market, observe):
    """The planted feature is a deterministic function of the bars: only its lead gives it away."""
    length = 50 * 24
    one = Window(panels.rows(market, 0, length), length - 10, (length - 5,))

    assert causality.truncation([one], observe).verdict == "ok"
    assert causality.truncation([one], causality.leading(observe, SEED)).figure == 1.0


@pytest.mark.parametrize("bars", [-1, 1])
def test_a_feed_that_shows_another_bar_is_found(subject, bars):
    shifted = causality.replayed(subject, 2, lambda feed: planted.Shifted(feed, bars, 3600))

    assert causality.decision_time(shifted).failed


def test_a_tape_that_fills_at_another_bar_is_found(subject):
    late = causality.replayed(subject, 2, lambda feed: planted.ShiftedTape(feed, 1, 3600))

    assert causality.decision_time(late).failed


def test_decisions_are_recomputed_alike(subject, replayed):
    check = causality.recomputed(subject, replayed, 6, SEED)

    assert (check.verdict, check.figure) == ("ok", 0.0)


def test_a_decision_that_another_future_would_change_is_found(monkeypatch, subject):
    """An opinion demeaned over all bars decides otherwise where the bars end earlier."""
    monkeypatch.setattr(rules, "rule", planted.peeking(rules.rule))
    check = causality.recomputed(subject, causality.replayed(subject, 2), 6, SEED)

    assert check.failed
    assert "differ, first" in check.text


# ---------------------------------------------------------------- leaks


def test_a_model_that_has_seen_its_test_forecasts_permuted_labels(monkeypatch, sample):
    """What a random split does: the test's own rows are trained on, and even labels drawn by lot are known."""
    honest = leakage.permuted(sample, range(2))
    monkeypatch.setattr(folds.Fold, "train", lambda fold, time: time < fold.test_until)
    monkeypatch.setattr(folds, "require_purged", lambda *_: None)
    monkeypatch.setattr(folds, "inner", lambda fold, _gap: (fold.test_until, fold.test_from))
    monkeypatch.setattr(leakage, "FIRST", {**fitting.FIRST, "min_data_in_leaf": 5, "num_leaves": 31})

    assert honest.verdict == "ok"
    assert leakage.permuted(sample, range(2)).failed


def test_permuted_returns_stay_within_their_time(sample):
    """The same numbers at every time, in another order, decided by seed and time."""
    before = sample.data.returns[6]
    dealt = leakage._dealt(sample.data, 6, 1).returns[6]

    assert np.array_equal(np.sort(before, axis=1), np.sort(dealt, axis=1), equal_nan=True)
    assert not np.array_equal(before, dealt, equal_nan=True)
    assert np.array_equal(dealt, leakage._dealt(sample.data, 6, 1).returns[6], equal_nan=True)


def test_features_that_are_stamped_a_bar_too_late_are_found(market, sample):
    """Where the newest known bar is shown as if it were older, what is one bar older forecasts far better."""
    late = [leakage.walk(sample, 6)]
    known = [leakage.walk(leakage.planted(sample, market, SEED), 6)]

    assert leakage.older(late, known).failed
    assert leakage.older(known, late).verdict == "ok"


def test_lagged_features_are_those_of_the_bar_before(market, sample):
    """Every decision is shown the row that closed one bar before its own."""
    wide = features.compute(market)
    rows = np.searchsorted(market.time, sample.data.time)
    shown = leakage.lagged(sample, market).data.x[:, :, sample.data.names.index("r_24")]

    assert np.array_equal(shown, wide.column("r_24")[rows - 1].astype(np.float32), equal_nan=True)
    assert not np.array_equal(shown, wide.column("r_24")[rows].astype(np.float32), equal_nan=True)


def test_the_alarm_needs_sixty_days(sample, market):
    found = leakage.walk(leakage.planted(sample, market, SEED), 6)

    assert leakage.alarm([found]).failed
    assert leakage.alarm([replace(found, days=59.0)]).verdict == "not judged"


def test_a_fold_without_purge_is_found(sample):
    bad = tuple(replace(fold, train_until=fold.test_from - 3600) for fold in sample.plan)

    assert leakage.purge(sample).verdict == "ok"
    assert leakage.purge(replace(sample, plan=bad)).failed


def test_a_check_that_lets_unpurged_folds_pass_is_found(monkeypatch, sample):
    monkeypatch.setattr(leakage.folds, "require_purged", lambda *_: None)

    assert leakage.purge(sample).failed
