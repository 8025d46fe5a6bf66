"""train and evaluate: what they print, what they refuse, and that a seed gives the same model bytes."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cli.fitted import ASSETS, QUICK, candles
from evenkeel import artifacts
from evenkeel.units import utc

pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")

DAY = 86_400
FIGURES = {"decisions", "ic", "ic_t", "icir", "rank_ic", "rank_ic_t", "ic_neutral", "rank_ic_neutral"}


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    """As if the program came without models."""
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Hours and half hours of ten assets that trend; the last 30 days of the hours are held out."""
    folder = tmp_path_factory.mktemp("candles")
    late = utc("2025-07-01") - 130 * DAY
    return {
        "hours": candles(folder / "hours.parquet", 160, start=late),
        "early": candles(folder / "early.parquet", 160, start=late, change=seen),
        "half": candles(folder / "half.parquet", 130, bar_s=1_800, start=late),
    }


def seen(table):
    """Its first 130 days."""
    return {name: column[: 130 * 24 * len(ASSETS)] for name, column in table.items()}


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A home with one bundle, and what the training printed."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenkeel.config.shipped", lambda: home / "shipped")
        from typer.testing import CliRunner

        from evenkeel.cli import app

        words = ["--data", str(files["hours"]), "--data", str(files["half"]), *QUICK, "--no-tracking", "--json"]
        done = CliRunner().invoke(app, ["--home", str(home), "train", "alpha", *words])
    assert done.exit_code == 0, done.output
    return home, json.loads(done.stdout), done.stderr


def bundle(home, version="v1"):
    return {x.name: x.read_bytes() for x in (home / "models" / "alpha" / version).iterdir()}


def test_one_document_says_what_was_made(trained):
    home, said, _ = trained

    made = artifacts.read(home / "models" / "alpha" / "v1", "alpha")
    assert (said["command"], said["version"], said["digest"]) == ("train alpha", "v1", made.digest)
    assert said["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()}
    assert said["bars"] == ["30m", "1h"]
    assert set(said["evidence"]) == {"30m", "1h"}
    assert said["trials"] == 2
    assert [set(fold["horizons"]) for fold in said["folds"]] == [{"6", "24"}]
    assert set(said["folds"][0]["horizons"]["24"]) >= FIGURES
    assert said["evidence"]["1h"]["rank_ic"] > 0.1
    assert said["peak_rss_mb"] < 6_000
    assert said["tracking"] == "off"


def test_held_out_bars_are_not_read_and_that_is_said(trained, run, files, tmp_path):
    """160 days of which 30 are held out give the model that 130 days give."""
    _, said, told = trained
    again = run(tmp_path, "train", "alpha", "--data", str(files["early"]), *QUICK, "--no-tracking", "--json")

    assert [one["held_out"] for one in said["data"]] == [30 * 24, 0]
    assert said["data"][0]["to"] == said["train"]["data_until"] == "2025-07-01T00:00:00Z"
    assert "720 later bars are held out and were not read" in told
    left, right = bundle(trained[0]), bundle(tmp_path)
    assert {name for name in left if left[name] != right[name]} == {"manifest.json"}
    assert again.json["evidence"]["1h"] == said["evidence"]["1h"]


def test_the_same_seed_gives_the_same_model_bytes_whenever_and_however_tracked(run, trained, files, tmp_path):
    """A second later, under another name, tracked by nobody who answers: only the manifest differs."""
    words = ("--data", str(files["hours"]), "--data", str(files["half"]), *QUICK, "--version", "mine")
    again = run(tmp_path, "train", "alpha", *words, "--tracking", "nonsense://nowhere", "--json")

    assert again.code == 0, again.err
    assert again.json["files"] == trained[1]["files"]
    left, right = bundle(trained[0]), bundle(tmp_path, "mine")
    assert {name for name in left if left[name] != right[name]} == {"manifest.json"}
    assert [line for line in again.err.splitlines() if line.startswith("warning")] == [
        f"warning: tracking: {again.json['tracking']}; the model is the same without"
    ]


def test_another_seed_gives_another_model(run, trained, files, tmp_path):
    words = ("--data", str(files["early"]), *QUICK, "--seed", "8", "--no-tracking", "--json")

    other = run(tmp_path, "train", "alpha", *words).json

    assert other["files"]["model_24h.txt"] != trained[1]["files"]["model_24h.txt"]


def test_people_get_a_table_and_progress_in_plain_lines(run, files, tmp_path):
    shorter = ("--until", "2025-06-01", "--expires-days", "10")

    done = run(tmp_path, "train", "alpha", "--data", str(files["early"]), *QUICK, "--no-tracking", *shorter)

    assert done.code == 0
    assert "trained on 1h bars of 10 assets" in done.out
    assert "held out" not in done.out
    assert "peak memory" in done.out
    assert "models promote alpha v1" in done.out
    assert "6 h search 1/1, 1 folds, best IC +0." in done.err
    manifest = artifacts.read(tmp_path / "models" / "alpha" / "v1", "alpha").manifest
    assert manifest["train"]["data_until"] == utc("2025-06-01")
    assert manifest["expires"] - manifest["created"] == 10 * DAY


def test_a_file_that_gives_no_evidence_is_named(run, files, tmp_path):
    few = candles(tmp_path / "few.parquet", 60, bar_s=1_800, start=utc("2025-05-01"))
    words = ("--data", str(files["early"]), "--data", str(few), "--data", str(files["hours"]), *QUICK)

    done = run(tmp_path, "train", "alpha", *words, "--no-tracking", "--json")

    assert done.json["bars"] == ["1h"]
    assert [line for line in done.err.splitlines() if line.startswith("warning: ")] == [
        "warning: few.parquet has too few decisions in the folds' tests: no evidence on 30m bars",
        "warning: hours.parquet was not used: 1h bars are judged on an earlier file",
    ]


def test_a_second_file_that_cannot_be_used_is_told_before_the_search(run, files, tmp_path):
    short = candles(tmp_path / "short.parquet", 5, bar_s=1_800, start=utc("2025-05-01"))

    done = run(tmp_path, "train", "alpha", "--data", str(files["early"]), "--data", str(short), *QUICK, "--no-tracking")

    assert_refused(done, 3, "too little history")
    assert "search" not in done.err


def test_a_machine_without_the_extra_is_told_what_to_install(run, files, tmp_path, monkeypatch):
    """LightGBM, Optuna, joblib, Ray: the program came without them."""
    words = ("train", "alpha", "--data", str(files["early"]), *QUICK, "--no-tracking")
    for module, more in (("lightgbm", ()), ("optuna", ()), ("joblib", ()), ("ray", ("--backend", "ray"))):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            done = run(tmp_path, *words, *more)

        assert_refused(done, 3, f"{module} is not installed: python -m pip install")


def test_a_cluster_that_is_not_there_is_told_at_once(run, files, tmp_path, monkeypatch):
    """Nobody listens there; Ray itself is not even asked."""
    ray = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ray.util.joblib", SimpleNamespace(register_ray=lambda: None))
    words = ("--data", str(files["early"]), *QUICK, "--no-tracking", "--backend", "ray", "--address", "127.0.0.1:9")

    done = run(tmp_path, "train", "alpha", *words)

    assert_refused(done, 3, "Ray at 127.0.0.1:9 cannot be had")


def flat(table):
    return table | {"volume": np.zeros(len(table["volume"]))}


def renamed(table):
    return {"price" if name == "close" else name: column for name, column in table.items()}


def textual(table):
    return table | {"close": ["cheap"] * len(table["close"])}


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"days": 20}, 3, "too little history"),
        ({"days": 60, "assets": ("BTC",)}, 2, "1 assets cannot be ordered"),
        ({"days": 60, "assets": ("ETH", "SOL", "XRP", "ADA")}, 2, "BTC"),
        ({"days": 60, "change": flat}, 2, "volz, liq, amihud, dvchg unknown in every row"),
        ({"days": 1}, 2, "horizons of 6, 24 h do not fit 22 h of data"),
        ({"days": 2, "change": renamed}, 2, "lacks the column close"),
        ({"days": 2, "change": textual}, 2, "'cheap' is not a number"),
        ({"days": 20, "start": utc("2025-08-01")}, 2, "are held out: give earlier candles"),
    ],
    ids=["short", "one", "no-btc", "blind", "horizon", "column", "text", "held-out"],
)
def test_data_that_cannot_be_learned_from_is_one_sentence(run, tmp_path, given, code, words):
    path = candles(tmp_path / "odd.parquet", **given)

    done = run(tmp_path, "train", "alpha", "--data", str(path), *QUICK, "--no-tracking", "--json")

    assert_refused(done, code, words)
    assert not (tmp_path / "models" / "alpha").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--data", "none.parquet"), 2, "does not exist"),
        (("--data", "odd.txt"), 2, "candles come as .parquet"),
        (("--data", "none.parquet", "--address", "auto"), 2, "--address auto belongs to --backend ray"),
        (("--data", "none.parquet", "--tracking", "x", "--no-tracking"), 2, "exclude each other"),
        (("--data", "none.parquet", "--until", "soon"), 2, "--until soon"),
        (("--data", "none.parquet", "--version", "v1"), 3, "never overwritten"),
        (("--data", "none.parquet", "--version", "../v9"), 3, "no name of a version"),
        (("--data", "none.parquet", "--set", "universe.only=[ETH]"), 2, "BTC"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_wishes_that_cannot_be_are_one_sentence(run, trained, tmp_path, monkeypatch, words, code, said):
    """Told before any candle is read."""
    home = shutil.copytree(trained[0], tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.txt").write_text("candles")

    assert_refused(run(home, "train", "alpha", *words), code, said)

    assert artifacts.versions(home / "models", "alpha") == ("v1",)


@pytest.mark.parametrize("words", [("--label", "luck"), ("--trials", "0"), ("--backend", "spark"), ("--batch", "0")])
def test_values_out_of_range_are_a_usage_error(run, tmp_path, words):
    assert run(tmp_path, "train", "alpha", "--data", "x.parquet", *words).code == 2


def test_the_next_version_is_later_than_every_other(run, trained, tmp_path):
    """Shipped ones count too."""
    shutil.copytree(trained[0] / "models", tmp_path / "shipped" / "models")
    (tmp_path / "shipped" / "models" / "alpha" / "v1").rename(tmp_path / "shipped" / "models" / "alpha" / "v7")

    done = run(tmp_path / "home", "train", "alpha", "--data", "none.parquet", "--version", "v7")

    assert_refused(done, 3, "never overwritten")
    assert artifacts.next_version([tmp_path / "home" / "models", tmp_path / "shipped" / "models"], "alpha") == "v8"


def test_what_is_not_asked_for_is_the_trainings_own_default():
    """The command line repeats defaults, so that help shows them without loading the training."""
    from evenkeel.cli.training import train
    from evenkeel.research.fitting import TrainSettings

    own = TrainSettings()
    given = {name: parameter.default for name, parameter in inspect.signature(train).parameters.items()}

    assert {name: given[name] for name in ("label", "folds", "trials", "batch", "seed")} == {
        name: getattr(own, name) for name in ("label", "folds", "trials", "batch", "seed")
    }
    assert given["expires_days"] == own.expires_after_days


# ---------------------------------------------------------------- evaluate


def test_what_only_held_out_bars_could_judge_is_refused(run, trained, files):
    home = trained[0]

    done = run(home, "evaluate", "alpha", "--version", "v1", "--data", str(files["hours"]), "--json")

    assert_refused(done, 2, "give --holdout")
    assert not (home / "models" / "holdout.log").exists()


def test_a_use_of_the_holdout_is_written_down_and_said(run, trained, files, tmp_path):
    home = shutil.copytree(trained[0], tmp_path / "home")
    words = ("evaluate", "alpha", "--version", "v1", "--data", str(files["hours"]), "--holdout")

    told, document = run(home, *words), run(home, *words, "--json")

    log = (home / "models" / "holdout.log").read_text().splitlines()
    assert len(log) == 2
    assert "evaluate alpha v1 on hours.parquet: bars 2025-07-01T00:00:00Z to 2025-07-31T00:00:00Z" in log[0]
    assert "720 held-out bars are read" in told.err
    assert "720 held-out bars are read" in document.err
    assert document.json["data"]["held_out_used"] == 720
    assert document.json["from"] > document.json["trained_until"]
    assert document.json["evidence"]["rank_ic"] > 0.1


def test_bars_before_the_holdout_need_no_leave(run, files, tmp_path):
    run(tmp_path, "train", "alpha", "--data", str(files["early"]), *QUICK, "--no-tracking", "--until", "2025-05-20")
    run(tmp_path, "models", "promote", "alpha", "v1")

    done = run(tmp_path, "evaluate", "alpha", "--data", str(files["hours"]), "--json")

    assert done.code == 0, done.err
    assert done.json["to"] == "2025-07-01T00:00:00Z"
    assert (done.json["data"]["held_out"], done.json["data"]["held_out_used"]) == (720, 0)
    assert not (tmp_path / "models" / "holdout.log").exists()


def test_judging_and_promoting_need_no_lightgbm(run, trained, files, tmp_path, monkeypatch):
    """A base installation: what was fitted elsewhere is verified, promoted and judged, to the same figures."""
    home = shutil.copytree(trained[0], tmp_path / "home")
    words = ("evaluate", "alpha", "--version", "v1", "--data", str(files["hours"]), "--holdout", "--json")
    complete = run(home, *words).json
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    assert run(home, "models", "verify").code == 0
    assert run(home, "models", "promote", "alpha", "v1").code == 0
    assert run(home, "models", "ls", "--json").code == 0
    assert run(home, *words).json == complete


def test_evaluating_nothing_says_what_to_do(run, trained, files, tmp_path):
    home = trained[0]
    assert_refused(
        run(tmp_path / "x", "evaluate", "alpha", "--data", str(files["early"])), 3, "no alpha model is in use"
    )
    assert_refused(run(home, "evaluate", "alpha", "--version", "v9", "--data", str(files["early"])), 3, "v9 is neither")
    done = run(home, "evaluate", "alpha", "--version", "v1", "--data", str(files["early"]))
    assert_refused(done, 3, "load bars that reach 24 h further")


def test_a_damaged_bundle_does_not_cost_a_look_at_the_holdout(run, trained, files, tmp_path):
    home = shutil.copytree(trained[0], tmp_path / "home")
    (home / "models" / "alpha" / "v1" / "model_6h.txt").write_text("tree")

    done = run(home, "evaluate", "alpha", "--version", "v1", "--data", str(files["hours"]), "--holdout")

    assert_refused(done, 3, "SHA-256")
    assert not (home / "models" / "holdout.log").exists()


def test_a_holdout_that_cannot_be_written_down_is_not_read(run, trained, files, tmp_path):
    home = shutil.copytree(trained[0], tmp_path / "home")
    (home / "models" / "holdout.log").mkdir()

    done = run(home, "evaluate", "alpha", "--version", "v1", "--data", str(files["hours"]), "--holdout")

    assert_refused(done, 3, "no held-out bar is read unseen")


def assert_refused(done, code, said):
    """One sentence after what was read, and the exit code."""
    sentences = [line for line in done.err.splitlines() if line.startswith("evenkeel: ")]
    assert done.code == code, done.err
    assert len(sentences) == 1, done.err
    assert said.lower() in sentences[0].lower(), sentences[0]
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
