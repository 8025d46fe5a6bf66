"""train policy: what it prints, what it refuses, and that a killed command goes on to the same bytes."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.fitted import candles
from evenkeel import artifacts
from evenkeel.research import trials
from evenkeel.signals import policy
from evenkeel.units import utc

pytest.importorskip("stable_baselines3", reason="training needs the [train] extra")

DAY = 86_400
LATE = utc("2025-07-01") - 80 * DAY
QUICK = (
    "--episodes", "24", "--bars", "24", "--seeds", "2", "--budgets", "1000,10000", "--jobs", "1", "--no-tracking"
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    """As if the program came without models."""
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Hours and half hours of ten assets that trend; the last 10 days of the hours are held out."""
    folder = tmp_path_factory.mktemp("candles")
    return {
        "hours": candles(folder / "hours.parquet", 90, start=LATE),
        "half": candles(folder / "half.parquet", 80, bar_s=1_800, start=LATE),
    }


def test_one_document_says_what_was_made(run, files, tmp_path):
    words = ("--data", str(files["hours"]), "--also", str(files["half"]), "--symbols", "eth, SOL-USD", *QUICK, "--json")

    done = run(tmp_path, "train", "policy", *words)

    assert done.code == 0, done.err
    said = done.json
    (bundle,) = said["bundles"]
    made = artifacts.read(tmp_path / "models" / "policy" / "v1", "policy")
    assert (said["command"], said["mode"], bundle["version"]) == ("train policy", "continuous", "v1")
    assert bundle["digest"] == made.digest
    assert bundle["files"] == made.manifest["files"]
    assert bundle["train"]["symbols"] == ["ETH", "SOL"]
    assert bundle["train"]["until"] == "2025-07-01T00:00:00Z"
    assert [one["held_out"] for one in said["data"]] == [10 * 24, 0]
    assert "240 later bars are held out and were not read" in done.err
    assert [one["seed"] for one in bundle["seeds"]] == [1, 2]
    assert bundle["chosen"] in {1, 2}
    assert set(bundle["evidence"]) == {"1h", "30m"}
    assert said["steps"] == 2 * 24 * 24
    assert said["tracking"] == "off"
    assert "all-seed-2 2/2 rounds" in done.err
    assert "steps/s" in done.err
    assert policy.load(made.path, 3_600).expires - made.manifest["created"] == 180 * DAY


def test_every_seed_that_is_taught_is_a_try_and_its_specialists_count(run, files, tmp_path):
    """Again, or beside other seeds, it is the same try; what is refused has taught nothing."""
    words = ("train", "policy", "--data", str(files["hours"]), *QUICK, "--regimes", "specialists")
    for more in (("--seeds", "1"), ("--version", "v2"), ("--symbols", "NOPE")):
        run(tmp_path, *words, *more)

    known = trials.read(tmp_path / "data" / trials.FILE)

    own = [one for one in known.trials if one.family == "policy"]
    assert [one.note for one in own] == [f"training of seed {seed}, budgets all" for seed in (1, 2)]
    assert [(one.count, one.status) for one in own] == [(4, trials.FINISHED)] * 2
    assert trials.count(known, ["policy"]).trials == 8


def test_people_get_a_table(run, files, tmp_path):
    words = ("--data", str(files["hours"]), "--mode", "discrete", "--version", "mine", *QUICK)

    done = run(tmp_path, "train", "policy", *words, "--regimes", "specialists")

    assert done.code == 0, done.err
    assert "policy mine" in done.out
    assert "seed 1" in done.out
    assert "(chosen)" in done.out
    assert "specialist down: wins " in done.out
    assert "of 2 seeds, not kept (4 of 5 are needed)" in done.out
    assert "tilt on 1h bars" in done.out
    assert "held out: the last 240 bars" in done.out
    assert "models promote policy mine" in done.out


def test_each_budget_gets_a_version(run, files, tmp_path):
    words = ("--data", str(files["hours"]), "--per-budget", *QUICK, "--seeds", "1", "--json")
    both = [run(tmp_path, "train", "policy", *words) for _ in range(2)]

    assert [one["version"] for done in both for one in done.json["bundles"]] == [
        "v1-1000", "v1-10000", "v2-1000", "v2-10000"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_bytes(run, files, tmp_path):
    words = ["train", "policy", "--data", str(files["hours"]), *QUICK, "--episodes", "1024", "--version", "taught"]
    whole = run(tmp_path / "whole", *words, "--json").json
    kept = ["--checkpoint", str(tmp_path / "kept"), "--resume"]
    command = [sys.executable, "-m", "evenkeel", "--home", str(tmp_path / "home"), *words, *kept]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=os.environ) as process:
        deadline = time.monotonic() + 240
        while len(list((tmp_path / "kept").glob("*.checkpoint"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    again = run(tmp_path / "home", *words, *kept, "--json").json

    assert again["bundles"][0]["files"] == whole["bundles"][0]["files"]
    assert again["bundles"][0]["seeds"] == whole["bundles"][0]["seeds"]
    assert again["steps"] < whole["steps"]


@pytest.mark.slow
def test_every_budget_and_seed_is_an_experiment(run, files, tmp_path):
    """The real MLflow, on SQLite."""
    pytest.importorskip("mlflow", reason="tracking needs mlflow-skinny of the [train] extra")
    quick = [word for word in QUICK if word != "--no-tracking"]

    done = run(tmp_path, "train", "policy", "--data", str(files["hours"]), *quick, "--json")

    code = (
        "import json, mlflow, sys; c = mlflow.MlflowClient(sys.argv[1]);"
        "print(json.dumps({e.name: [r.data.metrics for r in c.search_runs([e.experiment_id])]"
        " for e in c.search_experiments()}))"
    )
    uri = f"sqlite:///{tmp_path / 'data' / 'mlflow.db'}"
    asked = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, check=True)
    found = json.loads(asked.stdout.splitlines()[-1])
    named = {f"policy/{budget}/seed-{seed}" for budget in (1_000, 10_000) for seed in (1, 2)}
    assert done.json["tracking"] in {"ok", "did not answer within 15 s and was left"}
    if done.json["tracking"] == "ok":
        assert named <= set(found)
        for name in named:
            (run_,) = found[name]
            assert {"reward", "validation_sharpe", "validation_max_drawdown", "validation_win_rate"} <= set(run_)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--symbols", "ETH,NOPE"), 2, "symbol NOPE is unknown"),
        (("--budgets", "5"), 2, "a budget of 5 USD buys nothing"),
        (("--bars", "9000"), 2, "no window of 9000 bars fits"),
        (("--checkpoint", "{used}"), 3, "give --resume"),
        (("--checkpoint", "{odd}", "--resume"), 3, "is damaged, or no checkpoint"),
        (("--checkpoint", "{used}", "--resume", "--bars", "30"), 3, "written with bars 24, now it is 30"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_taught_is_one_sentence(run, files, tmp_path, words, code, said):
    for name in ("used", "odd"):
        run(tmp_path / "x", "train", "policy", "--data", str(files["hours"]), *QUICK, "--seeds", "1",
            "--checkpoint", str(tmp_path / name))  # fmt: skip
    for path in (tmp_path / "odd").glob("*.checkpoint"):
        path.write_bytes(path.read_bytes()[:-10])
    given = [word.format(used=tmp_path / "used", odd=tmp_path / "odd") for word in words]

    done = run(tmp_path, "train", "policy", "--data", str(files["hours"]), *QUICK, "--seeds", "1", *given, "--json")

    assert_refused(done, code, said)
    assert not (tmp_path / "models" / "policy").exists()


def test_a_checkpoint_of_other_observations_is_one_sentence(run, files, tmp_path, monkeypatch):
    words = ("--data", str(files["hours"]), *QUICK, "--seeds", "1", "--checkpoint", str(tmp_path / "kept"))
    with monkeypatch.context() as patch:
        patch.setattr("evenkeel.research.checkpoints.NAMES", ("moon", *policy.NAMES[1:]))
        run(tmp_path / "x", "train", "policy", *words)

    done = run(tmp_path, "train", "policy", *words, "--resume", "--json")

    assert_refused(done, 3, "observed other inputs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--address", "auto"), "--address auto belongs to --backend ray"),
        (("--tracking", "x", "--no-tracking"), "exclude each other"),
        (("--resume",), "--resume goes on from a --checkpoint"),
        (("--budgets", "much"), "--budgets much: write amounts"),
        (("--budgets", "1000,1000.2"), "1000 stands twice, name it once"),
        (("--symbols", ""), "--symbols has an empty name"),
        (("--symbols", "BTC,,ETH"), "--symbols has an empty name"),
        (("--symbols", "BTC,btc-usd"), "BTC stands twice, name it once"),
        (("--until", "soon"), "--until soon"),
        (("--set", "universe.only=[ETH]"), "BTC"),
        ((), "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and value else None,
)
def test_wishes_that_cannot_be_are_one_sentence(run, tmp_path, words, said):
    """Told before any candle is read."""
    assert_refused(run(tmp_path, "train", "policy", "--data", "none.parquet", *words), 2, said)


@pytest.mark.parametrize(
    "words", [("--episodes", "0"), ("--seeds", "0"), ("--mode", "fast"), ("--regimes", "two"), ("--validation", "1")]
)
def test_values_out_of_range_are_a_usage_error(run, tmp_path, words):
    assert run(tmp_path, "train", "policy", "--data", "x.parquet", *words).code == 2


def test_a_version_that_exists_is_refused(run, files, tmp_path):
    (tmp_path / "models" / "policy" / "v1").mkdir(parents=True)

    done = run(tmp_path, "train", "policy", "--data", str(files["hours"]), "--version", "v1")

    assert_refused(done, 3, "never overwritten")


def test_a_machine_without_the_extra_is_told_what_to_install(run, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("evenkeel.research")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)

    done = run(tmp_path, "train", "policy", "--data", "none.parquet")

    assert_refused(done, 3, "is not installed: python -m pip install")


def test_what_is_not_asked_for_is_the_trainings_own_default():
    """The command line repeats defaults, so that help shows them without loading the training."""
    from evenkeel.cli.policy_training import train
    from evenkeel.research.courses import PolicySettings

    own = PolicySettings()
    given = {name: parameter.default for name, parameter in inspect.signature(train).parameters.items()}

    names = ("mode", "episodes", "per_budget", "regimes", "seeds", "seed", "bars", "validation", "patience")
    assert {name: given[name] for name in names} == {name: getattr(own, name) for name in names}
    assert given["specialist_budget"] == own.specialist_budget
    assert tuple(float(x) for x in given["budgets"].split(",")) == own.budgets
    assert given["expires_days"] == own.expires_after_days


def assert_refused(done, code, said):
    """One sentence after what was read, and the exit code."""
    sentences = [line for line in done.err.splitlines() if line.startswith("evenkeel: ")]
    assert done.code == code, done.err
    assert len(sentences) == 1, done.err
    assert said.lower() in sentences[0].lower(), sentences[0]
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
