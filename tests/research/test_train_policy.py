"""A training leaves a bundle that is served; one seed gives the same bytes, whoever works and whatever is killed."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

from evenkeel import artifacts
from evenkeel.errors import ArtifactError, DataError, StateError
from evenkeel.market import panel as panels
from evenkeel.research import checkpoints, exams, lessons, tilts
from evenkeel.research.checkpoints import Shelf
from evenkeel.research.courses import Course, Standing, advance
from evenkeel.research.exams import Figures
from evenkeel.research.policy_bundle import Graduate, Specialist, middle
from evenkeel.research.ppo import actor_in
from evenkeel.research.search import Backend
from evenkeel.research.train_policy import experiment_of, groups_of
from evenkeel.signals import policy
from research import learning
from research.learning import CREATED, SMALL, files, rules, taught
from signals.straight import line

TESTS = Path(__file__).resolve().parents[1]
ONE = replace(SMALL, seeds=1, episodes=8)
LONG = replace(SMALL, episodes=80, regimes="specialists")


@pytest.fixture(scope="module")
def graduated(market, tmp_path_factory):
    """Two seeds over two budgets, and everything that was told."""
    told = []
    folder = tmp_path_factory.mktemp("policies")
    return taught(market, folder, on_progress=told.append, checkpoints=folder / "checkpoints"), told


@pytest.fixture(scope="module")
def school(market):
    return lessons.school(market, rules(market.assets), SMALL.lesson)


# ---------------------------------------------------------------- what is written


def test_a_bundle_is_served(graduated):
    """The loader of the service takes it, golden outputs and all."""
    path = graduated[0].bundles[0].path

    model = policy.load(path, 3_600)

    assert set(model.actors) == {"general"}
    assert model.window_s == 25 * 3_600
    said = orjson.loads((path / "golden.json").read_bytes())
    assert len(said["input"]) == 64
    assert set(said["output"]) == {"general"}


def test_the_manifest_says_what_was_done(market, graduated):
    said = graduated[0].bundles[0].manifest

    assert (said["mode"], said["cap"], said["budgets"]) == ("continuous", 0.97, [1_000.0, 10_000.0])
    assert said["bars"] == [3_600]
    assert said["observation"]["names"] == list(policy.NAMES)
    assert len(said["observation"]["mean"]) == len(said["observation"]["sd"]) == len(policy.MARKET)
    assert said["expires"] == CREATED + 180 * 86_400
    assert said["train"]["symbols"] == sorted(market.assets)
    assert said["train"]["until"] == market.time[-1]
    assert said["train"]["lessons_until"] + 24 * 3_600 <= said["train"]["judged_from"] + 3_600
    assert said["train"]["episodes"] == 48
    assert [one["file"] for one in said["seeds"]] == ["seed_1.json", "seed_2.json"]
    assert set(said["seeds"][0]["validation"]) == {"sharpe", "max_drawdown", "win_rate", "score"}
    assert set(said["seeds"][0]["budgets"]) == {"1000", "10000"}
    assert said["specialists"]["file"] == {"trend": None, "chop": None, "down": None}
    assert said["evidence"]["3600"]["decisions"] > 50
    assert abs(said["evidence"]["3600"]["ic"]) < 0.3


def test_the_general_actor_is_the_median_seeds(graduated):
    bundle = graduated[0].bundles[0]
    scores = {one["seed"]: one["validation"]["score"] for one in bundle.manifest["seeds"]}

    assert bundle.manifest["chosen"] == min(scores, key=scores.get)  # the lower of two
    assert bundle.files["general.json"] == bundle.files[f"seed_{bundle.manifest['chosen']}.json"]


def test_nothing_in_a_bundle_or_checkpoint_is_pickled(graduated):
    bundle = graduated[0].bundles[0]

    assert all(name.endswith(".json") for name in bundle.files)
    for path in (bundle.path.parents[1] / "checkpoints").iterdir():
        assert b"numpy.core" not in path.read_bytes()


def test_progress_tells_where_it_stands(graduated):
    told = graduated[1]

    assert [one.done for one in told] == [1, 2, 3, 4, 5, 6]
    assert {one.course for one in told} == {"all-seed-1", "all-seed-2"}
    assert told[0].total == 6
    assert told[-1].eta_s == 0
    assert math.isfinite(told[-1].best)
    assert all(one.steps_a_s > 0 and one.rss > 10_000_000 for one in told)


# ---------------------------------------------------------------- the same bytes


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(market, graduated, tmp_path):
    again = taught(market, tmp_path, backend=Backend(jobs=2))

    assert files(again) == files(graduated[0])


@pytest.mark.slow
def test_ray_gives_the_same_bytes(market, graduated, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: the [ray] extra")
    try:
        again = taught(market, tmp_path, backend=Backend("ray", jobs=2))
    finally:
        ray.shutdown()

    assert files(again) == files(graduated[0])


def test_a_finished_training_is_not_trained_again(market, graduated, tmp_path):
    """Resumed after its end it writes what it has."""
    told = []
    folder = graduated[0].bundles[0].path.parents[1] / "checkpoints"
    again = taught(market, tmp_path, checkpoints=folder, resume=True, on_progress=told.append)

    assert told == []
    assert files(again) == files(graduated[0])


@pytest.fixture(scope="module")
def whole(market, tmp_path_factory):
    """Twenty rounds of general actors, then eighteen of specialists, never interrupted."""
    return taught(market, tmp_path_factory.mktemp("whole"), settings=LONG)


@pytest.mark.parametrize("rounds", [5, 24])
def test_a_killed_training_goes_on_to_the_same_bytes(market, whole, tmp_path, rounds):
    """SIGKILL among the general actors or the specialists; then resumed, in this process."""
    folder = tmp_path / "killed"
    words = [sys.executable, "-m", "research.learning", str(folder), "80"]
    with subprocess.Popen(words, cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS)}) as process:
        wait_for_rounds(folder / "checkpoints", process, rounds)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    again = taught(market, folder / "models", settings=LONG, checkpoints=folder / "checkpoints", resume=True)

    assert files(again) == files(whole)
    assert again.steps < whole.steps


def wait_for_rounds(folder, process, rounds):
    """Until some rounds are on disk."""
    seen, deadline = set(), time.monotonic() + 120
    while len(seen) < rounds:
        assert process.poll() is None
        assert time.monotonic() < deadline
        seen |= {(path.name, path.stat().st_mtime_ns) for path in folder.glob("*.checkpoint")}
        time.sleep(0.005)


# ---------------------------------------------------------------- groups, budgets, symbols


def test_each_budget_may_have_its_own_actor(market, tmp_path):
    made = taught(market, tmp_path, settings=replace(ONE, per_budget=True, mode="discrete"))

    assert [bundle.version for bundle in made.bundles] == ["v1-1000", "v1-10000"]
    assert [bundle.manifest["budgets"] for bundle in made.bundles] == [[1_000.0], [10_000.0]]
    for bundle in made.bundles:
        assert policy.load(bundle.path, 3_600).actors["general"].discrete


def test_one_budget_is_a_bundle_of_its_own_name():
    (group,) = groups_of(replace(SMALL, budgets=(50_000.0,), per_budget=True), "v3")

    assert (group.name, group.version) == ("50000", "v3")
    assert experiment_of(Course("50000", 3, group.budgets), 50_000.0) == "policy/50000/seed-3"
    assert experiment_of(Course("50000", 3, group.budgets, "chop"), 50_000.0) == "policy/50000/seed-3/chop"


def test_only_the_symbols_that_are_asked_for_are_traded(market):
    made = lessons.school(market, rules(market.assets), SMALL.lesson, symbols=("ETH", "SOL"))

    assert {made.tape.assets[i] for i in (*made.taught.asset, *made.judged.asset)} == {"ETH", "SOL"}


def test_learning_and_judging_are_a_window_apart(school):
    assert school.taught.row.max() + SMALL.bars < school.cut - SMALL.bars + 1
    assert school.judged.row.min() >= school.cut


def test_another_bar_is_judged_too_where_it_has_evidence(market, tmp_path, monkeypatch):
    """Enough decisions that agree; else it is measured, said, and not served."""
    from research.conftest import make

    half = make(bar_s=1_800)
    monkeypatch.setattr(tilts, "proven", lambda found: found.decisions > 50)
    good = taught(market, tmp_path, settings=ONE, also=[half]).bundles[0].manifest
    monkeypatch.setattr(tilts, "proven", lambda found: False)
    bad = taught(market, tmp_path, "v2", settings=ONE, also=[half]).bundles[0].manifest

    assert (good["bars"], bad["bars"]) == ([1_800, 3_600], [3_600])
    assert good["evidence"] == bad["evidence"]


# ---------------------------------------------------------------- validation


def test_an_exam_draws_nothing(school):
    """All windows at all budgets; twice the same bits."""
    one, other = (exams.sit(school.desk, exams.hold, (1_000.0, 1e5)) for _ in range(2))

    np.testing.assert_array_equal(one.net, other.net)
    assert one.won.shape == (2, len(school.judged.row))
    assert one.books.sum() == one.won.size * SMALL.bars
    assert one.figures(1e5).sharpe != one.figures(1_000.0).sharpe


def test_an_exam_of_holding_earns_what_the_market_does(school):
    """Full slots, less their costs: the mean of the windows' growth is that of the prices."""
    exam = exams.sit(school.desk, exams.hold, (1_000.0,))
    row, asset = school.judged
    moved = np.log(school.tape.price[row + SMALL.bars, asset] / school.tape.price[row, asset])

    assert exam.net.sum() / len(row) == pytest.approx(moved.mean(), abs=0.004)


def test_the_best_validation_is_kept_and_a_worse_one_ends_the_course(school):
    settings = replace(SMALL, episodes=800, patience=1, seeds=1)
    course = Course("all", 1, SMALL.budgets)
    standing = Standing()
    while not standing.done:
        standing = advance(school, settings, (course, standing))

    scores = [mark.figures.score for mark in standing.curve]
    assert standing.rounds < course.rounds(settings)
    assert standing.mark.figures.score == max(scores)
    assert scores[-1] <= max(scores)
    assert standing.best < standing.rounds
    actor = actor_in(standing.kept, settings.ppo, discrete=False)
    assert exams.sit(school.desk, exams.alone(actor), course.budgets).figures() == standing.mark.figures


def test_validation_waits_for_a_hundred_episodes(school):
    """Eight books: every thirteenth round, and the last."""
    settings, standing = replace(SMALL, episodes=8 * 15), Standing()
    course = Course("all", 1, SMALL.budgets)
    while not standing.done:
        standing = advance(school, settings, (course, standing))

    assert [mark.round for mark in standing.curve] == [13, 15]


# ---------------------------------------------------------------- specialists


def figures(score):
    return Figures(score, 0.1, 0.5)


def test_a_specialist_needs_four_wins_of_five():
    assert not Specialist("chop", 3, 5, {}).kept
    assert Specialist("chop", 4, 5, {}).kept
    assert not Specialist("chop", 3, 3, {}).kept
    assert not Specialist("chop", 7, 10, {}).kept
    assert Specialist("chop", 8, 10, {}).kept


def test_the_median_is_chosen():
    made = [Graduate(seed, standing(score)) for seed, score in enumerate([3.0, math.nan, 1.0, 2.0, 9.0])]

    assert middle(made).seed == 3
    assert middle(made[:4]).seed == 2


def standing(score):
    from evenkeel.research.courses import Mark

    return Standing(rounds=1, best=1, curve=(Mark(1, 0.0, figures(score), ()),))


def test_the_router_asks_each_actor_as_far_as_its_regime_is_probable():
    """Certain of a regime, its specialist alone is heard."""
    actors = {name: line(x) for name, x in (("general", 0.2), ("chop", -0.6))}
    play = exams.router(actors["general"], {"chop": actors["chop"]})
    seen, allowed = np.zeros((3, len(policy.NAMES)), dtype=np.float32), np.ones((3, 3), dtype=bool)

    told = play(seen, allowed, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.25, 0.5, 0.25]]))

    np.testing.assert_allclose(told, [0.2, -0.6, -0.2], atol=1e-6)


def test_kept_specialists_are_written_and_routed_to(market, tmp_path, monkeypatch):
    """As if all had won: files, golden outputs and a service that mixes them."""
    monkeypatch.setattr(Specialist, "kept", property(lambda self: self.regime != "down"))
    made = taught(market, tmp_path, settings=replace(ONE, regimes="specialists", mode="discrete"))

    model = policy.load(made.bundles[0].path, 3_600)
    said = made.bundles[0].manifest["specialists"]
    assert said["file"] == {"trend": "specialist_trend.json", "chop": "specialist_chop.json", "down": None}
    assert set(said["wins"]) == set(policy.DIRECTIONS)
    assert (said["seeds"], said["budget"]) == (1, 10_000.0)
    assert set(model.actors) == {"general", "trend", "chop"}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"symbols": ("ETH", "NOPE")}, "symbol NOPE is unknown"),
        ({"budgets": (5.0,)}, "a budget of 5 USD buys nothing"),
        ({"regimes": "specialists", "specialist_budget": 5.0}, "a budget of 5 USD buys nothing"),
        ({"budgets": ()}, "no budget buys nothing"),
        ({"bars": 5_000}, "no window of 5000 bars fits"),
        ({"episodes": 0}, "0 episodes"),
        ({"seeds": 0}, "0 seeds"),
        ({"mode": "fast"}, "mode fast"),
        ({"bars": 1}, "windows of 1 bars"),
    ],
)
def test_bad_wishes_are_refused_in_a_sentence(market, tmp_path, settings, words):
    with pytest.raises(DataError, match=words):
        taught(market, tmp_path, settings=replace(SMALL, **settings))
    assert not (tmp_path / "policy").exists()


def test_a_version_that_exists_is_refused_before_any_lesson(market, graduated):
    with pytest.raises(ArtifactError, match="never overwritten"):
        taught(market, graduated[0].bundles[0].path.parents[1])


def test_bars_after_the_holdout_are_never_read(market, tmp_path):
    """Poisoned or absent, what lies behind the holdout gives the same bytes."""
    at = int(market.time[-1]) - 20 * 86_400
    cut = panels.until(market, at)
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for array in fields.values():
        array[len(cut.time) :] = 1e9
    poisoned = panels.panel(market.time, market.assets, bar_s=market.bar_s, **fields)
    held = replace(rules(market.assets), holdout_from=at)
    left, right = (
        learning.train(panel, tmp_path / name, "v1", held, ONE, created=CREATED, backend=learning.ALONE, also=[panel])
        for name, panel in (("a", poisoned), ("b", cut))
    )

    assert files(left) == files(right)


# ---------------------------------------------------------------- checkpoints


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path, SMALL, "data")


@pytest.fixture(scope="module")
def course():
    return Course("all", 1, SMALL.budgets)


@pytest.fixture(scope="module")
def stood(school, course):
    return advance(school, replace(SMALL, episodes=8), (course, Standing()))


def test_what_is_kept_comes_back_to_the_bit(shelf, course, stood):
    shelf.keep(course, replace(stood, rival=figures(math.nan)))

    found = shelf.take(course)

    assert found.curve == stood.curve
    assert math.isnan(found.rival.sharpe)
    for part in ("learner", "kept", "base"):
        left, right = getattr(found, part), getattr(stood, part)
        assert left.keys() == right.keys()
        assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    assert shelf.take(Course("all", 2, SMALL.budgets)) is None


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_refused(shelf, course, stood, harm):
    shelf.keep(course, stood)
    (path,) = shelf.folder.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:-100], "flipped": data, "empty": b"", "text": b"weights\n"}[harm])

    with pytest.raises(StateError, match=r"is damaged, or no checkpoint"):
        shelf.take(course)


def test_a_checkpoint_of_other_observations_is_refused(shelf, course, stood, monkeypatch):
    monkeypatch.setattr(checkpoints, "NAMES", ("moon", *policy.NAMES[1:]))
    shelf.keep(course, stood)
    monkeypatch.undo()

    with pytest.raises(StateError, match=r"observed other inputs \(.*moon"):
        shelf.take(course)


def test_a_checkpoint_of_another_training_is_refused(shelf, course, stood):
    shelf.keep(course, stood)

    with pytest.raises(StateError, match="written with bars 24, now it is 48"):
        replace(shelf, settings=replace(SMALL, bars=48)).take(course)
    with pytest.raises(StateError, match="written on other data"):
        replace(shelf, data="other").take(course)


def test_checkpoints_are_not_overwritten_unasked(market, tmp_path, shelf, course, stood):
    shelf.keep(course, stood)

    with pytest.raises(StateError, match="give --resume"):
        taught(market, tmp_path / "models", checkpoints=tmp_path)


def test_a_bundle_of_the_policy_is_verified_as_every_bundle(graduated):
    path = graduated[0].bundles[0].path

    assert artifacts.read(path, "policy").digest == graduated[0].bundles[0].digest
