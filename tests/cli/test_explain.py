"""plan and why: what they tell, and that they write nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from evenkeel.cli import reasons
from evenkeel.journal import recent
from evenkeel.portfolio.overlay import RULES

AT = "2025-07-02T06:00"


def test_plan_tells_targets_orders_costs_and_what_is_left_out(run, played, fingerprint):
    before = fingerprint(played)

    said = run(played, "plan", "--json")

    assert said.code == 0, said.err
    document = said.json
    assert document["memory"] == "home"
    assert document["same_config"]
    assert document["slot"] == "rebalance@2025-07-02T11:45:00Z"
    assert document["targets"]
    assert {"held", "target", "raw", "change"} <= set(document["targets"][0])
    assert document["expected_cost"] == pytest.approx(sum(o["expected_cost"] for o in document["orders"]))
    for leg in document["dropped"]:
        assert leg["meaning"] == reasons.REASONS[leg["code"]]
    assert fingerprint(played) == before


def test_plan_at_a_past_slot_decides_again_what_was_decided(run, played):
    document = run(played, "plan", "--at", AT, "--json").json

    rows = recent(
        played / "state" / "journal.db", "targets", limit=10**6, where={"slot": "rebalance@2025-07-02T06:00:00Z"}
    )
    assert document["memory"] == "journal"
    assert {row["asset"]: row["weight"] for row in rows} == {t["asset"]: t["target"] for t in document["targets"]}
    sent = recent(
        played / "state" / "journal.db", "orders", limit=10**6, where={"slot": "rebalance@2025-07-02T06:00:00Z"}
    )
    assert [row["id"] for row in sent] == [order["id"] for order in document["orders"]]


def test_plan_of_a_fresh_home_starts_from_its_capital(run, tmp_path, fingerprint):
    words = ("--config", "config/demo.yaml", "--set", "clock.from=2025-07-01", "--set", "clock.to=2025-07-02")

    said = run(tmp_path, "plan", *words, "--set", "history.days=40", "--json")

    assert said.json["memory"] == "fresh"
    assert said.json["equity"] == 100_000
    assert list(tmp_path.iterdir()) == []


def test_a_halted_home_plans_no_orders(run, played):
    run(played, "halt", "--reason", "test")

    document = run(played, "plan", "--json").json

    assert document["trading_state"] == "HALTED"
    assert document["orders"] == []
    assert "HALTED" in document["note"]


def test_why_walks_from_features_to_the_order(run, played, fingerprint):
    before = fingerprint(played)

    said = run(played, "why", "btc", "--json")

    document = said.json
    assert document["asset"] == "BTC"
    assert {"alpha", "policy", "edge", "rule"} == set(document["opinions"])
    assert document["opinions"]["policy"]["health"] == "missing"
    assert -3 <= document["opinions"]["rule"]["value"] <= 3
    assert "vol" in document["features"]
    assert sum(document["regime"]["probabilities"][name] for name in ("trend", "chop", "down")) == pytest.approx(1)
    weight = document["overlay"][-1]["weight"]
    assert weight == pytest.approx(document["target"], abs=1e-12)
    assert document["order"] is None or document["dropped"] is None
    assert fingerprint(played) == before


def test_why_for_people_names_every_step(run, played):
    said = run(played, "why", "ETH/USD", "--at", AT)

    assert said.code == 0, said.err
    for word in ("features", "regime", "rule", "expected", "rank", "raw", "target", "order"):
        assert word in said.out


def test_every_weight_of_why_is_that_of_its_rules(run, played):
    document = run(played, "plan", "--at", AT, "--json").json
    cut = next(t["asset"] for t in document["targets"] if t["target"] < t["raw"] or t["raw"] > 0)

    walked = run(played, "why", cut, "--at", AT, "--json").json

    assert walked["overlay"][-1]["weight"] == pytest.approx(walked["target"], abs=1e-12)


def test_an_unknown_asset_is_one_sentence_with_a_hint(run, played):
    said = run(played, "why", "BTX")

    assert said.code == 2
    assert "did you mean" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code"), [(("plan", "--at", "yesterday"), 2), (("plan", "--config", "none.yaml"), 2)]
)
def test_mistakes_are_one_sentence(run, played, words, code):
    said = run(played, *words)

    assert said.code == code
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1


def test_every_rule_of_the_overlay_has_a_meaning():
    assert {name for rules in RULES.values() for name, _ in rules} == set(reasons.RULES)


def test_every_code_in_a_played_journal_has_a_meaning(played):
    journal = played / "state" / "journal.db"
    codes = {row["code"] for row in recent(journal, "targets", limit=10**6)} - {""}
    codes |= {row["reason"] for row in recent(journal, "orders", limit=10**6)}
    codes |= {row["reason"] for row in recent(journal, "slots", limit=10**6)} - {""}
    for row in recent(journal, "targets", limit=10**6):
        codes |= {rule for rule, _ in orjson.loads(row["reasons"])}

    assert codes <= set(reasons.REASONS)


def test_the_page_of_reason_codes_has_every_code_of_the_table():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "reason-codes.md").read_text()

    assert [code for code in reasons.REASONS if f"`{code}`" not in page] == []
