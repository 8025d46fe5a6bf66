"""config: check, show, explain, schema; and the configuration that a run leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from evenkeel import config as configs
from evenkeel.cli.output import Context
from evenkeel.cli.remembered import recall, remember


def test_check_says_ok_and_the_digest(run, tmp_path):
    said = run(tmp_path, "config", "check", "--config", "config/demo.yaml", "--json")

    assert said.code == 0
    assert said.json["ok"]
    assert len(said.json["digest"]) == 64


@pytest.mark.parametrize(
    ("override", "hint"),
    [("overlay.vol_targt=1", "did you mean"), ("overlay.vol_target=9", "5"), ("nonsense", "key=value")],
)
def test_a_wrong_key_or_value_is_one_sentence(run, tmp_path, override, hint):
    said = run(tmp_path, "config", "check", "--set", override)

    assert said.code == 2
    assert hint in said.err
    assert said.err.count("\n") == 1


def test_show_can_be_read_back(run, tmp_path):
    said = run(tmp_path, "config", "show", "--config", "config/demo.yaml", "--set", "seed=11")
    (tmp_path / "again.yaml").write_text(said.out)

    again = run(tmp_path, "config", "show", "--config", str(tmp_path / "again.yaml"), "--json").json

    first = run(tmp_path, "config", "show", "--config", "config/demo.yaml", "--set", "seed=11", "--json").json
    assert again["digest"] == first["digest"]
    assert yaml.safe_load(said.out)["seed"] == 11
    assert first["sources"]["seed"] == "--set"


def test_explain_tells_meaning_range_default_and_origin(run, tmp_path):
    document = run(
        tmp_path, "config", "explain", "overlay.vol_target", "--set", "overlay.vol_target=0.3", "--json"
    ).json

    assert document["value"] == 0.3
    assert document["source"] == "--set"
    assert {"meaning", "unit", "range", "default"} <= set(document)


def test_explain_of_an_unknown_key_exits_2(run, tmp_path):
    assert run(tmp_path, "config", "explain", "overlay.vol_targt").code == 2


def test_schema_is_a_schema(run, tmp_path):
    assert run(tmp_path, "config", "schema").json["properties"]["overlay"]


def test_a_remembered_configuration_is_found_again(played):
    """Overrides that no preset has are lost without it."""
    made = Context(played, {})
    path, overrides = recall(made)
    loaded = configs.load(path, environ={}, overrides=overrides, home=played) if path else None
    if loaded is None:
        loaded = configs.load(
            Path("config/demo.yaml"),
            environ={},
            overrides=["clock.from=2025-07-01", "clock.to=2025-07-02T12:00", "history.days=40"],
            home=played,
        )

    remember(played, loaded)

    assert recall(made) == (played / "state" / "config.json", [])
