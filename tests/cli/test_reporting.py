"""`report` and `backtest --report`: one page, its twin, one verdict per baseline, every try in the ledger."""

from __future__ import annotations

import json
import re

import pytest

from cli.fitted import ASSETS, QUICK, candles
from evenkeel.config import shipped
from evenkeel.research import backtest, trials
from evenkeel.units import utc

COINS = "BTC,ETH,SOL,XRP,DOGE,BNB,LINK,UNI,LTC,ADA"
THREE_DAYS = (
    "--config", "config/demo.yaml", "--set", f"universe.only=[{COINS}]", "--set", "history.days=31",
    "--set", "clock.to=2025-02-13", "--set", "opinions.min_history_days=10",
)  # fmt: skip
BASELINES = (
    "buy-and-hold BTC", "equal weight", "inverse volatility", "low volatility", "7-day momentum", "random score",
    "RSI 30/70", "RSI with SMA", "MA crossover",
)  # fmt: skip


def ledger(home):
    """The trials of a home."""
    return trials.read(home / "data" / trials.FILE)


def part(document, name):
    return next(section for section in document["sections"] if section["id"] == name)


def test_a_report_has_everything_beside_the_run(run, tmp_path):
    """Nine baselines with BTC first, ablation, doubled costs: real back-tests, each a trial; the twin is the page's."""
    page = tmp_path / "out.html"
    done = run(tmp_path, "backtest", *THREE_DAYS, "--report", str(page), "--json")
    assert done.code == 0, done.err
    document = json.loads(page.with_suffix(".json").read_text())

    assert done.json["report"] == str(page)
    assert done.json["verdict"] == document["verdict"]["line"]
    assert tuple(item["baseline"] for item in document["verdict"]["items"]) == BASELINES
    assert tuple(document["figures"]) == ("evenkeel", *BASELINES)
    assert len({figures["total_return"] for figures in document["figures"].values()}) == 10
    assert [row[0] for row in part(document, "ablation")["tables"][0]["rows"]] == [
        "evenkeel", "without rule", "without overlay",
    ]  # fmt: skip
    assert sum("said nothing anyway" in note for note in part(document, "ablation")["notes"]) == 3
    once, twice = part(document, "costs")["tables"][0]["rows"]
    assert twice[1] < once[1]
    assert {name for s in document["sections"] if s["absent"] for name in [s["id"]]} == {"rolling"}
    twin = re.search(r'type="application/json" id="document">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    assert json.loads(twin) == document

    families = [trial.family for trial in ledger(tmp_path).trials if trial.family != trials.FIRST_LOOK]
    assert sorted(families) == sorted(["rebalancer"] * 3 + ["costs x 2"] + [
        "buy_and_hold", "equal_weight", "inverse_vol", "low_vol", "momentum", "random", "rsi", "rsi_sma",
        "ma_crossover",
    ])  # fmt: skip
    before = trials.count(trials.read(shipped() / "models" / trials.FILE), ("walkforward", trials.FIRST_LOOK)).trials
    assert before > 85
    assert {item["trials"] for item in document["verdict"]["items"]} == {before + 3}


def test_a_quick_report_says_what_it_left_out(run, tmp_path):
    done = run(tmp_path, "report", *THREE_DAYS, "--quick", "--json")
    assert done.code == 0, done.err
    document = done.json

    assert document["command"] == "report"
    assert [item["baseline"] for item in document["verdict"]["items"]] == ["buy-and-hold BTC"]
    assert "the other baselines" in part(document, "figures")["notes"][-1]
    assert part(document, "ablation")["absent"] == "--quick was given"
    assert "--quick was given" in part(document, "costs")["notes"][-1]
    assert not list(tmp_path.glob("*.html"))


def test_a_baseline_is_not_compared_with_itself(run, tmp_path):
    """Of a strategy all others stand beside it; the first is the benchmark."""
    done = run(tmp_path, "report", *THREE_DAYS, "--set", "strategy=buy_and_hold", "--quick", "--json")

    assert done.code == 0, done.err
    assert done.json["name"] == "buy-and-hold BTC"
    assert done.json["verdict"]["line"].startswith("Not judged")


def test_settings_of_the_run_do_not_bend_its_baselines(run, tmp_path):
    """Buy-and-hold stays what it is under a tight overlay of the run."""
    tight = ("--set", "overlay.vol_target=0.05", "--set", "allocate.cash_buffer=0.5")
    loose, bent = (run(tmp_path, "report", *THREE_DAYS, *words, "--quick", "--json").json for words in ((), tight))

    name = "buy-and-hold BTC"
    assert bent["figures"][name]["total_return"] == loose["figures"][name]["total_return"]
    assert bent["figures"]["evenkeel"]["total_return"] != loose["figures"]["evenkeel"]["total_return"]


# ---------------------------------------------------------------- the ledger


def test_every_back_test_is_a_trial_and_the_same_one_twice_is_one(run, tmp_path):
    for _ in range(2):
        done = run(tmp_path, "backtest", *THREE_DAYS, "--json")
        assert done.code == 0, done.err
    run(tmp_path, "backtest", *THREE_DAYS, "--set", "overlay.vol_target=0.3", "--json")
    own = [trial for trial in ledger(tmp_path).trials if trial.family == "rebalancer"]

    assert [trial.status for trial in own] == ["finished", "finished"]
    assert own[0].id == done.json["trial"]
    assert own[0].data_end == utc("2025-02-13")
    assert len(own[0].returns) == 3
    assert trials.count(ledger(tmp_path), ("rebalancer", "review")).trials == 87


def test_one_that_was_broken_off_counts(run, tmp_path, monkeypatch):
    def broken(*_args, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "backtest", broken)
    done = run(tmp_path, "backtest", *THREE_DAYS, "--json")
    own = ledger(tmp_path).trials[-1]

    assert done.code != 0
    assert (own.family, own.status, own.note) == ("rebalancer", "interrupted", "KeyboardInterrupt")


def test_one_that_never_began_does_not(run, tmp_path):
    assert run(tmp_path, "backtest", "--config", "config/replay.yaml").code == 3
    assert ledger(tmp_path).trials == ()


# ---------------------------------------------------------------- in-sample


def test_strict_refuses_what_was_trained_on_the_bars(run, tmp_path, monkeypatch):
    """A model let loose on its own training bars: said in the verdict, and exit 4 with --strict."""
    pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    data = candles(tmp_path / "hours.parquet", 100, start=utc("2025-02-01"))
    assert run(tmp_path, "train", "alpha", "--data", str(data), *QUICK, "--no-tracking", "--version", "v9").code == 0
    assert run(tmp_path, "models", "promote", "alpha", "v9").code == 0
    assert run(tmp_path, "data", "import", str(data), "--bar", "1h").code == 0
    words = (
        "backtest", "--from", "2025-04-10", "--to", "2025-04-13", "--universe", ",".join(ASSETS), "--set",
        "feed.bar=1h", "--set", "feed.source=hours", "--set", "opinions.alpha_in_sample=true",
        "--report", str(tmp_path / "out.html"), "--quick", "--json",
    )  # fmt: skip
    lax, strict = run(tmp_path, *words), run(tmp_path, *words, "--strict")

    assert (lax.code, strict.code) == (0, 4), lax.err + strict.err
    assert lax.json["in_sample"]
    assert lax.json["verdict"].startswith("IN-SAMPLE: ")
    assert "IN-SAMPLE" in strict.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"]["in_sample"]
    assert "24 h alpha" not in str(part(report, "forecasts"))


def test_strict_says_nothing_of_an_honest_run(run, tmp_path):
    done = run(tmp_path, "backtest", *THREE_DAYS, "--strict", "--json")

    assert (done.code, done.json["in_sample"]) == (0, False)


# ---------------------------------------------------------------- from the journal


def test_a_run_is_reported_from_its_journal(run, tmp_path):
    """Equity and costs are those of its back-test; what a journal cannot know is said."""
    assert run(tmp_path, "run", *THREE_DAYS, "--json").code == 0
    done = run(tmp_path, "report", "--from-journal", "--quick", "--json")
    assert done.code == 0, done.err
    tested = run(tmp_path, "report", *THREE_DAYS, "--quick", "--json")

    assert done.json["curve"] == tested.json["curve"]
    assert done.json["figures"] == tested.json["figures"]
    assert part(done.json, "forecasts")["absent"].startswith("the journal keeps")
    assert part(done.json, "ablation")["absent"].startswith("the run was no back-test")
    assert len(part(done.json, "contributions")["charts"]) == 2
    waterfalls = [part(d, "costs")["charts"][0]["rows"] for d in (done.json, tested.json)]
    assert waterfalls[0][0][1] == pytest.approx(waterfalls[1][0][1], rel=0.05)
    own = [trial for trial in ledger(tmp_path).trials if trial.family == "rebalancer"]
    assert len(own) == 1


def test_a_home_without_a_run_has_no_report(run, tmp_path):
    done = run(tmp_path, "report", "--from-journal")

    assert done.code == 3
    assert "run first" in done.err


def test_half_a_day_is_too_little(run, tmp_path):
    assert run(tmp_path, "run", *THREE_DAYS, "--set", "clock.to=2025-02-10T12:00", "--json").code == 0
    done = run(tmp_path, "report", "--from-journal")

    assert done.code == 3
    assert "a report needs three" in done.err


# ---------------------------------------------------------------- side by side, and what is refused


def test_runs_stand_side_by_side_under_their_files_names(run, tmp_path):
    for name, target in (("calm", "0.2"), ("wild", "0.9")):
        page = ("--out", str(tmp_path / f"{name}.html"), "--set", f"overlay.vol_target={target}")
        assert run(tmp_path, "report", *THREE_DAYS, "--quick", *page).code == 0
    both = (str(tmp_path / "calm.json"), str(tmp_path / "wild.json"))
    done = run(tmp_path, "report", "--compare", *both, "--out", str(tmp_path / "both.html"))

    assert done.code == 0, done.err
    document = json.loads((tmp_path / "both.json").read_text())
    assert [c["name"] for c in part(document, "figures")["tables"][0]["columns"]] == ["", "calm", "wild"]
    assert "2 runs over the same days" in done.out
    assert "Runs side by side" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--compare",), "0 report"),
        (("--compare", "{}/one.json"), "1 report"),
        (("--compare", "{}/one.json", "{}/none.json"), "No such file"),
        (("--compare", "{}/one.json", "{}/broken.json"), "is no JSON"),
        (("--compare", "{}/one.json", "{}/other.json"), "is no report"),
        (("--compare", "{}/one.json", "{}/one.json", "--quick"), "leave --from-journal"),
        (("{}/one.json",), "--compare"),
        (("--out", "{}/page.pdf"), "end with .html"),
        (("--out", "{}/none/page.html"), "writable folder"),
        (("--config", "config/demo.yaml", "--set", "clock.to=2025-02-11"), "1.0 days is too short"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(run, tmp_path, words, said):
    one = {"curve": {"time": [0, 86_400], "equity": [1, 2]}, "figures": {}, "verdict": {}, "period": {}, "title": "a"}
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"command": "status"}')
    out = () if "--out" in words else ("--out", str(tmp_path / "page.html"))
    done = run(tmp_path, "report", *(word.format(tmp_path) for word in words), *out)

    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "page.html").exists()
