"""models: a policy is listed, verified and promoted as an alpha is; a duel trades both alone."""

from __future__ import annotations

import orjson
import pytest

from cli.fitted import candles
from cli.judged import bundle
from evenkeel.units import utc

DAY = 86_400
SPARSE = (*tuple(f"--set=schedule.{kind}=1d" for kind in ("risk", "score", "rebalance")), "--set=feed.bar=1h")
UNTIL = utc("2024-12-05")


@pytest.fixture(autouse=True)
def _nothing_is_shipped(monkeypatch, tmp_path):
    """As if the program came without models."""
    monkeypatch.setattr("evenkeel.config.shipped", lambda: tmp_path / "shipped")


@pytest.fixture(scope="module")
def trend(tmp_path_factory):
    """A hundred and seventy days of hours in which what rose goes on rising."""
    return candles(tmp_path_factory.mktemp("candles") / "trend.parquet", 170, 2.0)


@pytest.fixture
def home(tmp_path):
    """Three bundles: v1 sells what rose, v2 buys it, and still does nothing."""
    for version, how in (("v1", {"gain": -1.0}), ("v2", {"gain": 1.0}), ("still", {"still": True})):
        bundle(tmp_path / "home" / "models", version, until=UNTIL, seeds=(3,), **how)
    return tmp_path / "home"


def test_policies_are_listed_and_verified(run, home):
    listed = run(home, "models", "ls", "--json").json["models"]
    checked = run(home, "models", "verify", "policy", "v1", "--json").json["models"]
    (home / "models" / "policy" / "v2" / "seed_3.json").write_text("{}")
    torn = run(home, "models", "verify", "policy", "v2")

    assert [(one["kind"], one["version"], one["in_use"]) for one in listed] == [
        ("policy", name, False) for name in ("still", "v1", "v2")
    ]
    assert checked[0]["checked"] == ["digests", "features", "observation", "golden output"]
    assert torn.code == 1
    assert "has SHA-256" in torn.err


def test_a_bundle_that_a_run_would_refuse_takes_no_place(run, home):
    other = bundle(home / "models", "v9", until=UNTIL, change=lambda said: said["observation"].update(names=["moon"]))

    done = run(home, "models", "promote", "policy", "v9")

    assert run(home, "models", "verify", "policy", "v9").code == 1
    assert done.code == 3
    assert f"{other.path} observes other inputs" in done.err
    assert not (home / "models" / "policy" / "CURRENT").exists()


def test_the_champion_has_to_be_beaten_on_later_bars(run, home, trend):
    run(home, "models", "promote", "policy", "v1")
    words = ("--data", str(trend), *SPARSE, "--json")

    without = run(home, "models", "promote", "policy", "v2")
    won = run(home, "models", "promote", "policy", "v2", *words)
    lost = run(home, "models", "promote", "policy", "v1", *words)
    back = run(home, "models", "promote", "policy", "v1", "--force", "--json")

    assert without.code == 2
    assert "give --data FILE with 90 days of them" in without.err
    assert won.code == 0, won.err
    assert won.json["kind"] == "policy"
    assert won.json["duel"]["ic_t"] > 1
    assert utc(won.json["duel"]["since"]) >= UNTIL + 25 * 3_600
    assert lost.code == 4
    assert lost.json["duel"]["ic"] == pytest.approx(-won.json["duel"]["ic"])
    assert lost.json["duel"]["net"] == pytest.approx(-won.json["duel"]["net"])
    assert back.json["forced"]
    rows = [orjson.loads(line) for line in (home / "models" / "promotions.jsonl").read_bytes().splitlines()]
    assert [(row["kind"], row["version"], row["before"]) for row in rows] == [
        ("policy", "v1", ""), ("policy", "v2", "v1"), ("policy", "v1", "v2")
    ]  # fmt: skip


def test_one_that_prefers_nothing_can_be_beaten(run, home, trend):
    """It orders no assets: its IC is 0, not unknown."""
    run(home, "models", "promote", "policy", "still")

    done = run(home, "models", "promote", "policy", "v2", "--data", str(trend), *SPARSE, "--json")

    assert done.json["duel"]["decisions"] > 500
    assert done.json["duel"]["ic_t"] > 1


def test_too_few_days_leave_the_champion(run, home, tmp_path):
    short = candles(tmp_path / "short.parquet", 120)
    run(home, "models", "promote", "policy", "v1")

    done = run(home, "models", "promote", "policy", "v2", "--data", str(short), *SPARSE)

    assert done.code == 4
    assert "the champion stays: only " in done.err
