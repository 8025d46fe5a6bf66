"""One source of truth: annotations, documented file, schema, explain and digest agree."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from evenkeel.config import Config, digest, document, explain, load, schema, shipped, show
from evenkeel.config.keys import keys_of, leaves
from evenkeel.config.values import build
from evenkeel.errors import ConfigError

LEAVES = {leaf.path: leaf for leaf in leaves(Config())}


def flat(tree, prefix=""):
    """Dotted keys of a nested mapping, down to what is no section."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path in LEAVES:
            yield path, value
        else:
            yield from flat(value, f"{path}.")


def configured(*overrides):
    """A configuration from overrides alone."""
    return load(None, environ={}, overrides=overrides, home=Path("/nonexistent")).config


def test_the_documented_file_is_what_the_program_would_write():
    """`make config` has been run since the last change of a setting."""
    assert (shipped() / "config" / "config.yaml").read_text(encoding="utf-8") == document()


def test_the_documented_file_holds_every_key_with_its_default():
    """Every key of Config stands in config.yaml and every key there is one of Config."""
    path = shipped() / "config" / "config.yaml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert dict(flat(raw)).keys() == LEAVES.keys()
    assert load(path, environ={}, overrides=(), home=path.parent).config == Config()


def test_the_documented_file_says_what_explain_says():
    """Meaning and range of every key stand in the comment above it."""
    comments = " ".join(document().replace("#", " ").split())

    for path in LEAVES:
        told = explain(path)
        assert " ".join(told.meaning.split()) in comments
        assert told.range in comments


@pytest.mark.parametrize("path", LEAVES)
def test_every_key_is_explained_and_its_default_is_lawful(path):
    """A meaning for people, a type, and a default that passes its own validation."""
    told = explain(path)
    tree = told.default
    for part in reversed(path.split(".")):
        tree = {part: tree}

    assert told.meaning
    assert told.type
    assert told.source == "default"
    assert build(Config(), tree, {}) == Config()


@pytest.mark.parametrize("name", ["clock", "feed", "schedule"])
def test_a_section_explains_what_it_holds(name):
    """Asking for a section lists its keys."""
    told = explain(name)

    assert told.type == "section"
    assert all(key in told.range for key in keys_of(type(getattr(Config(), name))))


def test_every_section_says_what_it_decides():
    """Each section has a docstring; each is frozen and slotted."""
    for item in fields(Config):
        section = getattr(Config(), item.name)
        if is_dataclass(section):
            assert type(section).__doc__
            assert type(section).__dataclass_params__.frozen
            assert hasattr(type(section), "__slots__")


def test_explain_shows_the_value_and_the_layer_it_came_from():
    """People's words for both the default and the value."""
    loaded = load(None, environ={"EVENKEEL__FEED__BAR": "1h"}, overrides=(), home=Path("/nonexistent"))
    told = explain("feed.bar", loaded.config, loaded.sources)

    assert (told.default, told.value, told.source, told.unit) == ("30m", "1h", "EVENKEEL__FEED__BAR", "s")


@pytest.mark.parametrize(("asked", "meant"), [("clock.kid", "clock.kind"), ("speed", "clock.speed"), ("sed", "seed")])
def test_explaining_an_unknown_key_suggests_one(asked, meant):
    """Did you mean."""
    with pytest.raises(ConfigError, match=f"did you mean {meant}"):
        explain(asked)


def test_show_is_what_a_file_would_say():
    """Loading what is shown gives the same configuration again."""
    config = configured("clock.kind=virtual", "clock.from=2025-07-01", "clock.to=2025-08-01", "venue.capital=12.5")
    shown = show(config)

    assert shown["clock"]["from"] == "2025-07-01T00:00:00Z"
    assert shown["schedule"]["risk"] == "15m"
    assert build(Config(), shown, {}) == config
    assert json.dumps(shown)


def test_schema_knows_every_key_and_forbids_others():
    """For editors: names, ranges, enumerations, defaults."""
    tree = schema()

    assert tree["additionalProperties"] is False
    assert tree["properties"]["clock"]["properties"].keys() == {"kind", "from", "to", "speed"}
    assert tree["properties"]["clock"]["properties"]["kind"]["enum"] == ["real", "virtual"]
    assert tree["properties"]["clock"]["properties"]["speed"]["minimum"] == 0
    assert tree["properties"]["universe"]["properties"]["only"]["items"] == {"type": "string"}
    assert json.dumps(tree)


def test_digest_follows_what_decides_and_nothing_else():
    """Speed and logging decide nothing; the seed does; the way of writing does not."""
    same = digest(Config())

    assert digest(configured("clock.speed=50")) == same
    assert digest(configured("logging.level=debug", "logging.keep=3")) == same
    assert digest(configured("schedule.risk=900", "venue.capital=100000.0")) == digest(
        configured("venue.capital=100000", "schedule.risk=15m")
    )
    assert digest(configured("seed=8")) != same
    assert len(same) == 64
