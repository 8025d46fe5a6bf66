"""evaluate policy: what it prints, what it looks at, and what it refuses before it looks."""

from __future__ import annotations

import shutil
import sys

import orjson
import pytest

from cli.fitted import candles
from cli.judged import bundle
from evenkeel.cli import policy_verdict
from evenkeel.research import trials
from evenkeel.signals import policy
from evenkeel.units import utc

DAY = 86_400
HOLDOUT = utc("2025-07-01")
TRAINED = HOLDOUT - 25 * DAY
SPARSE = tuple(f"--set=schedule.{kind}=1d" for kind in ("risk", "score", "rebalance"))
FIGURES = {
    "net_return", "matched_return", "active_return", "sharpe", "max_drawdown", "win_rate", "turnover", "doubtful"
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    """As if the program came without models."""
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Ten assets that trend: 60 days of hours up to the hold-out, 30 more of it, and half hours."""
    folder = tmp_path_factory.mktemp("candles")
    start = HOLDOUT - 60 * DAY
    return {
        "hours": candles(folder / "hours.parquet", 60, start=start),
        "late": candles(folder / "late.parquet", 90, start=start),
        "half": candles(folder / "half.parquet", 60, bar_s=1_800, start=start),
    }


@pytest.fixture
def home(tmp_path):
    """A home with one bundle, v1."""
    bundle(tmp_path / "home" / "models", until=TRAINED)
    return tmp_path / "home"


def judge(run, home, path, *words):
    return run(home, "evaluate", "policy", "--model", "v1", "--data", str(path), *words)


def test_one_document_says_what_books_and_portfolio_are_worth(run, home, files, monkeypatch):
    """Without any library that trains, and the same twice."""
    for name in ("torch", "stable_baselines3", "gymnasium"):
        monkeypatch.setitem(sys.modules, name, None)

    first, second = (judge(run, home, files["hours"], *SPARSE, "--json") for _ in range(2))

    assert first.code == 0, first.err
    assert first.out == second.out
    said = first.json
    books, portfolio = said["books"], said["portfolio"]
    assert (said["command"], said["version"], said["chosen"], said["served"]) == (
        "evaluate policy",
        "v1",
        "seed 3",
        True,
    )
    assert utc(said["from"]) >= TRAINED + 25 * 3_600
    assert said["to"] <= "2025-07-01T00:00:00Z"
    assert list(books["actors"]) == ["seed 3", "seed 4"]
    assert list(books["beside"]) == ["hold", "nothing", "random"]
    assert all(set(found) == {"all", "1000", "10000"} for found in books["actors"].values())
    assert set(books["actors"]["seed 3"]["1000"]) == FIGURES
    assert books["windows"] >= 100
    assert [one["name"] for one in portfolio["runs"]] == [
        "seed 3", "seed 4", "buy-and-hold BTC", "equal weight", "inverse volatility", "evenkeel with the tilt",
        "evenkeel without it",
    ]  # fmt: skip
    assert [one["baseline"] for one in portfolio["verdicts"]] == [one["name"] for one in portfolio["runs"][2:]]
    assert said["verdict"].startswith("policy v1 does not earn its place in the blend. Its books: ")
    assert said["earns_place"] is False
    assert "2 seeds show no spread: 5 are asked for" in said["notes"]


def test_doing_nothing_costs_nothing_and_chance_costs_much(run, home, files):
    beside = judge(run, home, files["hours"], "--no-portfolio", "--json").json["books"]["beside"]

    nothing, random, hold = (beside[name]["all"] for name in ("nothing", "random", "hold"))
    assert (nothing["net_return"], nothing["turnover"], nothing["max_drawdown"]) == (0.0, 0.0, 0.0)
    assert nothing["active_return"] == pytest.approx(-nothing["matched_return"])
    assert random["turnover"] > 5 * hold["turnover"] > 0
    assert random["net_return"] < hold["net_return"]
    assert random["doubtful"] == 0.0


def test_every_portfolio_is_a_try(run, home, files):
    """Each actor once, however often it is judged; what it stands beside counts to its own strategy."""
    for _ in range(2):
        judge(run, home, files["hours"], *SPARSE, "--json")

    entered = trials.read(home / "data" / trials.FILE).trials
    families = [one.family for one in entered]
    assert families.count("policy") == 2
    assert families.count("rebalancer") == 2
    assert {one.status for one in entered if one.family == "policy"} == {trials.FINISHED}


def test_people_get_the_verdict_first(run, home, files):
    done = judge(run, home, files["hours"], *SPARSE)

    lines = done.out.splitlines()
    assert done.code == 0, done.err
    assert lines[0].startswith("policy v1 ")
    assert any(line.startswith("seed 3 (chosen)") for line in lines)
    assert any(line.startswith("median of seeds") for line in lines)
    assert any(line.startswith("tilt: Not distinguishable") for line in lines)
    assert "books: 5/5 exams" in done.err


def test_specialists_are_judged_when_they_are_asked_for(run, home, files):
    shutil.rmtree(home / "models")
    bundle(home / "models", until=TRAINED, specialists=("trend", "down"))

    alone = judge(run, home, files["hours"], "--no-portfolio", "--json").json
    routed = judge(run, home, files["hours"], *SPARSE, "--specialist-router", "--json").json

    assert alone["specialists"] == routed["specialists"] == ["down", "trend"]
    assert "routed" not in alone["books"]["actors"]
    assert any("--specialist-router judges them too" in note for note in alone["notes"])
    assert routed["books"]["actors"]["routed"] != routed["books"]["actors"]["seed 3"]
    assert {one["of"] for one in routed["portfolio"]["verdicts"]} == {"seed 3", "routed"}


def test_a_router_without_specialists_is_the_general_actor(run, home, files):
    done = judge(run, home, files["hours"], "--no-portfolio", "--specialist-router", "--json").json

    assert list(done["books"]["actors"]) == ["seed 3", "seed 4"]
    assert any("no specialist was kept" in note for note in done["notes"])


def test_bars_that_it_is_not_served_on_are_judged_without_a_tilt(run, home, files):
    """Windows of the same length in time, so twice as many bars."""
    said = judge(run, home, files["half"], *SPARSE, "--json").json

    assert said["served"] is False
    assert said["books"]["bars"] == 48
    assert said["portfolio"]["tilt"] is None
    assert "not served on these bars" in said["verdict"]
    assert "evenkeel with the tilt" not in [one["name"] for one in said["portfolio"]["runs"]]


def test_an_actor_that_never_trades_is_told_so(run, home, files):
    shutil.rmtree(home / "models")
    bundle(home / "models", until=TRAINED, still=True)

    said = judge(run, home, files["hours"], "--no-portfolio", "--json").json

    assert any("never traded" in note for note in said["notes"])
    assert said["books"]["actors"]["seed 3"]["all"] == said["books"]["beside"]["nothing"]["all"]


def test_answers_beyond_belief_are_counted(run, home, files):
    shutil.rmtree(home / "models")
    bundle(home / "models", until=TRAINED, gain=40.0)

    said = judge(run, home, files["hours"], "--no-portfolio", "--json").json

    assert said["books"]["actors"]["seed 3"]["all"]["doubtful"] > 0.2


def test_books_are_opened_on_what_is_asked_for(run, home, files):
    words = (
        "--symbols",
        "eth, SOL/USD",
        "--budgets",
        "500",
        "--from",
        "2025-06-20",
        "--to",
        "2025-06-28",
        "--episodes",
        "60",
    )

    said = judge(run, home, files["hours"], "--no-portfolio", *words, "--json").json

    assert said["books"]["symbols"] == ["ETH", "SOL"]
    assert said["books"]["budgets"] == [500.0]
    assert said["books"]["windows"] >= 60
    assert (said["from"], said["to"] <= "2025-06-28T00:00:00Z") == ("2025-06-20T00:00:00Z", True)
    assert set(said["books"]["actors"]["seed 3"]) == {"all"}


def test_a_use_of_the_holdout_is_asked_for_and_written_down(run, home, files):
    bundle(home / "models", "v2", until=HOLDOUT)
    words = ("evaluate", "policy", "--model", "v2", "--data", str(files["late"]), "--no-portfolio", "--json")

    refused, told = run(home, *words), run(home, *words, "--holdout")

    assert_refused(refused, 2, "give --holdout")
    assert told.code == 0, told.err
    assert told.json["data"]["held_out_used"] == 720
    (line,) = (home / "models" / "holdout.log").read_text().splitlines()
    assert "evaluate policy v2 on late.parquet: bars 2025-07-01T00:00:00Z to 2025-07-31T00:00:00Z" in line


def test_the_model_in_use_or_a_folder_is_judged(run, home, files):
    folder = ("evaluate", "policy", "--model", str(home / "models" / "policy" / "v1"))
    more = ("--data", str(files["hours"]), "--no-portfolio", "--json")
    nobody = run(home, "evaluate", "policy", *more)
    run(home, "models", "promote", "policy", "v1")

    used, named = run(home, "evaluate", "policy", *more), run(home, *folder, *more)

    assert_refused(nobody, 3, "no policy model is in use: name one with --model")
    assert used.out == named.out


# ---------------------------------------------------------------- what is refused


def observing(manifest):
    manifest["observation"] = manifest["observation"] | {"names": ["moon", *policy.NAMES[1:]]}


def without_seeds(manifest):
    del manifest["seeds"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--symbols", "ETH,NOPE"), 2, "symbol NOPE is unknown"),
        (("--symbols", ""), 2, "--symbols has an empty name"),
        (("--budgets", "5"), 2, "a budget of 5 USD buys nothing"),
        (("--budgets", "much"), 2, "--budgets much: write amounts"),
        (("--model", "v9"), 3, "v9 is neither"),
        (("--model", "other"), 3, "observes other inputs"),
        (("--model", "torn"), 3, "has SHA-256"),
        (("--model", "seedless"), 3, "has no actor of each seed"),
        (("--model", "long"), 2, "no window of 900 bars fits"),
        (("--episodes", "100000"), 2, "windows of 24 bars fit, 100000 are asked for"),
        (("--from", "2025-05-20"), 2, "lies in what v1 was trained on"),
        (("--from", "2025-06-20", "--to", "2025-06-10"), 2, "comes before"),
        (("--to", "soon"), 2, "--to soon"),
        (("--to", "2025-06-25", "--from", "2025-06-24T12:00"), 2, "no window of 24 bars fits"),
        (("--data", "none.parquet"), 2, "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_judged_is_one_sentence(run, home, files, words, code, said):
    bundle(home / "models", "other", until=TRAINED, change=observing)
    bundle(home / "models", "seedless", until=TRAINED, change=without_seeds)
    bundle(home / "models", "long", until=TRAINED - 25 * DAY, lesson_bars=900)
    torn = bundle(home / "models", "torn", until=TRAINED).path / "seed_4.json"
    torn.write_bytes(torn.read_bytes()[:-1])

    done = judge(run, home, files["hours"], *words, "--json")

    assert_refused(done, code, said)


@pytest.mark.parametrize(
    "words", [("--symbols", "NOPE"), ("--budgets", "5"), ("--model", "torn"), ("--from", "2025-05-20")]
)
def test_a_wish_that_cannot_be_does_not_cost_a_look_at_the_holdout(run, home, files, words):
    torn = bundle(home / "models", "torn", until=TRAINED).path / "golden.json"
    torn.write_bytes(b"{}")

    done = judge(run, home, files["late"], *words, "--holdout")

    assert done.code in {2, 3}
    assert not (home / "models" / "holdout.log").exists()


@pytest.mark.parametrize("words", [("--episodes", "0"), ("--episodes", "many")])
def test_values_out_of_range_are_a_usage_error(run, home, words):
    assert judge(run, home, "none.parquet", *words).code == 2


def test_a_model_that_saw_its_bars_is_marked():
    """As in every verdict; the policy itself never speaks of them, an alpha may be made to."""
    word = {"of": "seed 1", "baseline": "x", "word": "beats", "sentence": ""}
    books = {"verdicts": [word], "actors": {"seed 1": {"all": {"turnover": 1.0}}}}
    document = {
        "version": "v1", "chosen": "seed 1", "books": books, "specialists": [], "served": True, "strength": 0.1,
        "router": False, "portfolio": {"verdicts": [word], "tilt": word, "in_sample": True},
    }  # fmt: skip

    said = policy_verdict.of(document)

    told = "Its books: beats x; traded alone: beats x; its tilt: beats x."
    assert said["verdict"] == f"IN-SAMPLE: policy v1 earns its place in the blend. {told}"
    assert said["in_sample"]
    assert said["earns_place"]
    orjson.dumps(said)


def assert_refused(done, code, said):
    """One sentence after what was read, and the exit code."""
    sentences = [line for line in done.err.splitlines() if line.startswith("evenkeel: ")]
    assert done.code == code, done.err
    assert len(sentences) == 1, done.err
    assert said.lower() in sentences[0].lower(), sentences[0]
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
