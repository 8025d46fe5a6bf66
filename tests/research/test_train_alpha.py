"""What is planted is found, noise is not; one seed gives the same bytes, whoever works and whoever tracks."""

import math
import sys
from dataclasses import replace

import pytest

from evenkeel.errors import ArtifactError, DataError, NotReadyError
from evenkeel.market import panel as panels
from evenkeel.research import search
from evenkeel.research.fitting import FIRST, TrainSettings, judge, plan_folds, task_of
from evenkeel.research.search import Backend, Range
from evenkeel.research.tracking import Tracker, TrackingSettings
from evenkeel.research.train_alpha import train

pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")

CREATED = 1_735_689_600
SMALL = TrainSettings(step_h=6, folds=2, trials=2, batch=2, min_history_days=7.0, embargo_h=0)
ALONE = Backend(jobs=1)


def files(trained):
    return {path.name: path.read_bytes() for path in sorted(trained.bundle.path.iterdir())}


def judged(data, settings=SMALL, horizon_h=24):
    return judge(task_of(data, horizon_h, plan_folds(data, settings), settings), FIRST)


def test_a_planted_future_is_found(data):
    """A feature that is the coming return gives an IC near 1: the pipeline would show a leak."""
    x = data.x.copy()
    x[:, :, 3] = data.returns[24]

    found = judged(replace(data, x=x))

    assert min(fold.found.rank_ic for fold in found.folds) > 0.8


def test_noise_is_not_found(data):
    """On random walks no fold has evidence."""
    found = judged(data)

    assert all(abs(fold.found.ic) < 0.12 for fold in found.folds)
    assert all(abs(fold.found.ic_t) < 3 for fold in found.folds)
    assert all(fold.found.decisions > 60 for fold in found.folds)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(market, trained, tmp_path):
    again = train(market, tmp_path, "v1", SMALL, created=CREATED, backend=Backend(jobs=2))

    assert files(again) == files(trained)
    assert again.bundle.digest == trained.bundle.digest
    assert again.peak_rss > 0


def test_another_seed_gives_another_model(market, trained, tmp_path):
    other = train(market, tmp_path, "v1", replace(SMALL, seed=8), created=CREATED, backend=ALONE)

    assert files(other)["model_24h.txt"] != files(trained)["model_24h.txt"]


@pytest.mark.parametrize("command", [("sleep", "60"), (sys.executable, "-c", "raise SystemExit(1)"), ("/no/such",)])
def test_a_dead_tracker_changes_nothing(market, trained, tmp_path, command):
    tracker = Tracker(TrackingSettings("http://127.0.0.1:9", patience_s=0.5), command)

    again = train(market, tmp_path, "v1", SMALL, created=CREATED, backend=ALONE, tracker=tracker)

    assert files(again) == files(trained)
    assert again.tracked != "ok"


def test_the_manifest_says_what_was_done(market, trained):
    said = trained.bundle.manifest

    assert said["bars"] == [3600]
    assert said["horizons_h"] == [6, 24]
    assert said["search"]["trials"] == 4
    assert said["search"]["seed"] == 7
    assert said["expires"] == CREATED + 180 * 86_400
    assert said["universe"] == list(market.assets)
    assert said["train"]["until"] + 6 * 3600 < market.time[-1]
    assert said["train"]["data_until"] == market.time[-1]
    assert len(said["folds"]) == 2
    for fold in said["folds"]:
        assert fold["train"][1] + 25 * 3600 <= fold["test"][0]
        assert {"ic", "ic_t", "icir", "rank_ic", "ic_neutral", "rank_ic_neutral", "trees"} <= set(
            fold["horizons"]["24"]
        )
    assert said["evidence"]["3600"]["decisions"] > 100
    assert {"lightgbm", "numpy", "optuna", "joblib"} == set(said["libraries"])


def test_bars_after_the_holdout_are_never_read(market, trained, tmp_path):
    """Poisoned or absent, what lies behind the holdout gives the same bytes."""
    at = int(market.time[-1]) - 5 * 86_400
    cut = panels.until(market, at)
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for array in fields.values():
        array[len(cut.time) :] = 1e9
    poisoned = panels.panel(market.time, market.assets, bar_s=market.bar_s, **fields)
    settings = replace(SMALL, trials=1)

    left = train(poisoned, tmp_path / "a", "v1", settings, created=CREATED, backend=ALONE, holdout_from=at)
    right = train(cut, tmp_path / "b", "v1", settings, created=CREATED, backend=ALONE)

    mine, theirs = files(left), files(right)
    assert mine["model_24h.txt"] == theirs["model_24h.txt"]
    assert mine["model_6h.txt"] == theirs["model_6h.txt"]


def test_progress_tells_where_it_stands(market, tmp_path):
    seen = []

    train(market, tmp_path, "v1", SMALL, created=CREATED, backend=ALONE, on_progress=seen.append)

    stages = [one.stage for one in seen]
    assert stages == ["6 h search"] * 2 + ["24 h search"] * 2 + ["6 h model", "24 h model"]
    assert [one.done for one in seen[:2]] == [1, 2]
    assert seen[0].folds == 2
    assert seen[1].eta_s == 0.0
    assert math.isfinite(seen[0].ic)
    assert seen[0].rss > 10_000_000


def test_a_version_that_exists_is_refused(market, trained):
    models = trained.bundle.path.parents[1]

    with pytest.raises(ArtifactError, match="never overwritten"):
        train(market, models, "v1", replace(SMALL, trials=1), created=CREATED, backend=ALONE)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (replace(SMALL, horizons_h=(6, 9000)), DataError, "do not fit"),
        (replace(SMALL, folds=40), NotReadyError, "too little history for 40 folds"),
        (replace(SMALL, label="luck"), DataError, "label 'luck' is unknown"),
        (replace(SMALL, trials=0), DataError, "0 trials"),
    ],
)
def test_bad_wishes_are_refused_in_a_sentence(market, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        train(market, tmp_path, "v1", settings, created=CREATED, backend=ALONE)
    assert not (tmp_path / "alpha").exists()


def test_too_little_history_is_refused(market, tmp_path):
    with pytest.raises(NotReadyError, match="too little history"):
        train(panels.rows(market, 0, 240), tmp_path, "v1", SMALL, created=CREATED, backend=ALONE)


def test_rounds_are_told_in_trial_order():
    """The trials asked for depend on seed and batch, not on the number of processes."""
    space = (Range("a", 0.0, 1.0), Range("n", 1, 50, whole=True, log=True))

    def run(jobs, seed=3):
        found = search.search(
            space, parabola, trials=10, batch=4, seed=seed, first={"a": 0.5, "n": 7}, backend=Backend(jobs=jobs)
        )
        return [dict(trial.params) for trial in found]

    assert run(1) == run(2)
    assert run(1) != run(1, seed=4)
    assert run(1)[0] == {"a": 0.5, "n": 7}


def test_failed_trials_are_passed_over():
    found = search.search((Range("a", 0.0, 1.0),), half, trials=6, batch=3, seed=1, first={"a": 0.9}, backend=ALONE)

    assert len(found) == 6
    assert math.isnan(found[0].result.score)
    assert search.best(found).params["a"] < 0.5
    with pytest.raises(NotReadyError, match="no trial could be judged"):
        search.best(found[:1])


def test_a_backend_is_one_of_two():
    with pytest.raises(DataError, match="local or ray"):
        Backend("spark")


@pytest.mark.slow
def test_ray_gives_the_same_bytes(market, trained, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: the [ray] extra")
    try:
        again = train(market, tmp_path, "v1", SMALL, created=CREATED, backend=Backend("ray", jobs=2))
    finally:
        ray.shutdown()

    assert files(again) == files(trained)


class Score:
    """What a judge says."""

    def __init__(self, score):
        self.score = score


def parabola(params):
    return Score(-((params["a"] - 0.3) ** 2) - 0.001 * params["n"])


def half(params):
    return Score(params["a"] if params["a"] < 0.5 else math.nan)
