"""models: what is there, whether it may be believed, and that only a better one takes over."""

from __future__ import annotations

import json
import shutil

import orjson
import pytest

from cli.fitted import QUICK, candles
from evenkeel import artifacts
from evenkeel.units import utc

pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")

DAY = 86_400
SPARSE = (*tuple(f"--set=schedule.{kind}=1d" for kind in ("risk", "score", "rebalance")), "--set=feed.bar=1h")
"""Two slots a day say as much of a duel as ninety-six."""


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    """As if the program came without models."""
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two hundred days of a market that trends, and of one that turns back."""
    folder = tmp_path_factory.mktemp("candles")
    return {
        "trend": candles(folder / "trend.parquet", 200),
        "revert": candles(folder / "revert.parquet", 200, -1.0, seed=8),
    }


@pytest.fixture(scope="module")
def _both(files, tmp_path_factory):
    """A home in which v1 has learned that what rose falls, and v2 that it rises."""
    from typer.testing import CliRunner

    from evenkeel.cli import app

    home = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenkeel.config.shipped", lambda: home / "shipped")
        for name in ("revert", "trend"):
            words = ["--data", str(files[name]), *QUICK, "--no-tracking", "--until", "2024-12-25"]
            done = CliRunner().invoke(app, ["--home", str(home), "train", "alpha", *words])
            assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def home(_both, tmp_path):
    """A copy that the test may harm."""
    return shutil.copytree(_both, tmp_path / "home")


def in_use(run, home):
    return [
        f"{one['where']} {one['version']}"
        for one in run(home, "models", "ls", "--json").json["models"]
        if one["in_use"]
    ]


def promoted(home):
    path = home / "models" / "promotions.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def spoil(home, version, change):
    """Change what a manifest says, with a digest that fits, so that only its meaning is wrong."""
    path = home / "models" / "alpha" / version / "manifest.json"
    manifest = orjson.loads(path.read_bytes())
    change(manifest)
    manifest["digest"] = artifacts._digest(manifest)
    path.write_bytes(orjson.dumps(manifest))


def test_nothing_there_is_said(run, tmp_path):
    assert run(tmp_path, "models", "ls").out.startswith("no model is there")
    assert run(tmp_path, "models", "ls", "--json").json == {"command": "models ls", "models": []}
    assert run(tmp_path, "models", "verify").code == 3


def test_ls_says_what_each_model_is(run, home):
    shutil.copytree(home / "models", home.parent / "shipped" / "models")

    found = run(home, "models", "ls", "--json").json["models"]
    told = run(home, "models", "ls").out

    assert [(one["where"], one["version"], one["in_use"]) for one in found] == [
        ("home", "v1", False),
        ("home", "v2", False),
        ("shipped", "v1", False),
        ("shipped", "v2", True),
    ]
    one = found[1]
    manifest = artifacts.read(home / "models" / "alpha" / "v2", "alpha").manifest
    assert one["digest"] == manifest["digest"]
    assert one["bars"] == ["1h"]
    assert utc(one["trained_until"]) == manifest["train"]["until"]
    assert utc(one["expires"]) - utc(one["created"]) == 180 * DAY
    assert one["expired"] is False
    assert one["strength"]["1h"] > 0.05
    assert one["problem"] is None
    assert one["digest"][:12] in told
    assert [line.split()[1:3] for line in told.splitlines() if line.startswith("*")] == [["alpha", "v2"]]


def test_an_expired_and_a_damaged_model_are_shown_as_such(run, home):
    spoil(home, "v1", lambda manifest: manifest.update(created=0, expires=DAY))
    (home / "models" / "alpha" / "v2" / "golden.json").write_text("{}")

    found = run(home, "models", "ls", "--json")
    told = run(home, "models", "ls").out

    assert found.code == 0
    assert [one["expired"] for one in found.json["models"]] == [True, None]
    assert "SHA-256" in found.json["models"][1]["problem"]
    assert "expired 1970-01-02" in told
    assert "damaged, see below" in told


def other_features(manifest):
    manifest["features"]["names"][0] = "luck"


def other_formula(manifest):
    manifest["features"]["digest"] = "0" * 64


def other_output(home):
    golden = home / "models" / "alpha" / "v1" / "golden.json"
    content = orjson.loads(golden.read_bytes())
    content["output"]["6"][0] += 1e-6
    golden.write_bytes(orjson.dumps(content))
    digest = artifacts.hashlib.sha256(golden.read_bytes()).hexdigest()
    spoil(home, "v1", lambda manifest: manifest["files"].update({"golden.json": digest}))


def cut_short(home):
    path = home / "models" / "alpha" / "v1" / "model_6h.txt"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut_short, "SHA-256"),
        (lambda home: spoil(home, "v1", other_features), "other features"),
        (lambda home: spoil(home, "v1", other_formula), "a formula has changed"),
        (other_output, "golden output for 6 h"),
        (lambda home: (home / "models" / "alpha" / "v1" / "manifest.json").write_text("{"), "is no JSON"),
    ],
    ids=["digest", "features", "formula", "golden", "manifest"],
)
def test_verify_says_each_bad_one_and_ends_with_1(run, home, harm, said):
    before = run(home, "models", "verify", "--json")
    harm(home)
    told, document = run(home, "models", "verify"), run(home, "models", "verify", "--json")

    assert (before.code, before.json["ok"]) == (0, True)
    assert before.json["models"][0]["checked"] == ["digests", "features", "golden output"]
    assert told.code == document.code == 1
    assert told.err.count("evenkeel: ") == told.err.count("\n") == 1
    assert said in told.err
    assert [one["ok"] for one in document.json["models"]] == [False, True]
    assert told.out.startswith("ok: alpha v2")
    assert run(home, "models", "verify", "alpha", "v2").code == 0
    assert run(home, "models", "verify", "alpha", "v9").code == 3


def test_an_empty_place_is_taken_and_written_down(run, home):
    done = run(home, "models", "promote", "alpha", "v1", "--json")

    assert done.json["promoted"]
    assert (done.json["champion"], done.json["duel"]) == ("", None)
    assert "no evidence on 30m bars" in done.json["note"]
    assert in_use(run, home) == ["home v1"]
    assert [(row["version"], row["before"], row["forced"]) for row in promoted(home)] == [("v1", "", False)]
    assert run(home, "models", "promote", "alpha", "v1", "--json").json["in_use"]
    assert len(promoted(home)) == 1


@pytest.mark.slow
def test_a_better_challenger_takes_over_and_a_worse_one_comes_back_only_by_force(run, home, files):
    """The duel is the same from both sides; force goes back to what was in use before."""
    data = ("--data", str(files["trend"]), *SPARSE, "--json")
    run(home, "models", "promote", "alpha", "v1")

    won = run(home, "models", "promote", "alpha", "v2", *data)
    lost = run(home, "models", "promote", "alpha", "v1", *data)
    between = in_use(run, home)
    back = run(home, "models", "promote", "alpha", "v1", "--force", "--json")

    assert won.code == 0, won.err
    assert won.json["promoted"]
    assert won.json["duel"]["ic_t"] > 1
    assert won.json["duel"]["net"] > 0
    assert utc(won.json["duel"]["since"]) >= utc("2024-12-25")
    assert lost.code == 4
    assert lost.json["sentence"].startswith("the champion stays: IC differs by -")
    assert lost.json["duel"]["ic"] == pytest.approx(-won.json["duel"]["ic"])
    assert lost.json["duel"]["net"] == pytest.approx(-won.json["duel"]["net"])
    assert lost.err.splitlines()[-1] == f"evenkeel: {lost.json['sentence']}"
    assert between == ["home v2"]
    assert back.json["forced"]
    assert "back to v1" in back.json["sentence"]
    assert in_use(run, home) == ["home v1"]
    rows = [(row["version"], row["before"], row["forced"]) for row in promoted(home)]
    assert rows == [("v1", "", False), ("v2", "v1", False), ("v1", "v2", True)]


def test_too_few_common_days_leave_the_champion(run, home, tmp_path):
    """What is held out is not looked at without leave, and is offered."""
    path = candles(tmp_path / "late.parquet", 60, start=utc("2025-05-20"))
    run(home, "models", "promote", "alpha", "v1")
    words = ("models", "promote", "alpha", "v2", "--data", str(path), *SPARSE)

    short, longer = run(home, *words), run(home, *words, "--holdout")

    assert short.code == longer.code == 4
    assert "the champion stays: only " in short.err
    assert "later bars are held out, --holdout reads them" in short.err
    assert "--holdout" not in longer.err
    assert "duel of alpha v1 and v2 on late.parquet" in (home / "models" / "holdout.log").read_text()
    assert in_use(run, home) == ["home v1"]


def test_expiry_does_not_promote(run, home, files):
    """A champion that has expired still has to be beaten."""
    spoil(home, "v1", lambda manifest: manifest.update(expires=manifest["created"]))
    run(home, "models", "promote", "alpha", "v1")

    done = run(home, "models", "promote", "alpha", "v2")

    assert_refused(done, 2, "give --data FILE")
    assert in_use(run, home) == ["home v1"]


def test_force_does_not_go_forward(run, home):
    run(home, "models", "promote", "alpha", "v1")

    done = run(home, "models", "promote", "alpha", "v2", "--force")

    assert_refused(done, 2, "v2, which was never in use, in the place of v1, which works")
    assert in_use(run, home) == ["home v1"]


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_refused_champion_is_passed_over_only_by_force(run, home, harm):
    run(home, "models", "promote", "alpha", "v1")
    if harm == "gone":
        shutil.rmtree(home / "models" / "alpha" / "v1")
    else:
        (home / "models" / "alpha" / "v1" / "golden.json").write_text("{}")

    plain = run(home, "models", "promote", "alpha", "v2")
    forced = run(home, "models", "promote", "alpha", "v2", "--force")

    assert_refused(plain, 2, "pass it over with --force")
    assert forced.code == 0
    assert "the model in use is refused" in promoted(home)[-1]["why"]
    assert in_use(run, home) == ["home v2"]


def test_a_challenger_that_a_run_would_refuse_is_refused(run, home):
    spoil(home, "v2", other_formula)

    for more in ((), ("--force",)):
        assert_refused(run(home, "models", "promote", "alpha", "v2", *more), 3, "a formula has changed")
    assert_refused(run(home, "models", "promote", "alpha", "v9"), 3, "v9 is neither")
    assert_refused(run(home, "models", "promote", "luck", "v1"), 2, "kind luck cannot be promoted")
    assert in_use(run, home) == []
    assert promoted(home) == []


def test_a_home_that_cannot_be_written_is_said(run, home):
    """Nothing is promoted, and nothing is written down as if it were."""
    (home / "models" / "alpha" / "CURRENT").mkdir()

    done = run(home, "models", "promote", "alpha", "v1")

    assert_refused(done, 3, "cannot be written")
    assert promoted(home) == []


def assert_refused(done, code, said):
    assert done.code == code, done.err
    assert done.err.startswith("evenkeel: ")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_a_program_reads_one_document(run, home):
    assert json.loads(run(home, "models", "ls", "--json").out)["command"] == "models ls"
