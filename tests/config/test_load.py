"""Layers, order, did-you-mean, and one sentence for every mistake."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.config import Config, load, show
from evenkeel.config.keys import leaves
from evenkeel.errors import ConfigError

KEYS = sorted(leaf.path for leaf in leaves(Config()))


@pytest.fixture
def ask(tmp_path):
    """Load a configuration from YAML text, environment and overrides, in a home of its own."""

    def ask_for(text=None, *overrides, environ=None):
        path = None
        if text is not None:
            path = tmp_path / "given.yaml"
            path.write_text(text, encoding="utf-8")
        return load(path, environ=environ or {}, overrides=overrides, home=tmp_path)

    return ask_for


def sentence(error):
    """The message, checked to be one line without a traceback's words."""
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    assert error.value.exit_code == 2
    return text


def test_without_anything_the_defaults_stand_and_are_safe(ask):
    """No file, no environment: a dry run on the paper venue."""
    loaded = ask()

    assert loaded.config == Config()
    assert loaded.config.dry_run is True
    assert loaded.config.venue.kind == "paper"
    assert loaded.sources == {}


def test_later_layers_win_and_say_so(ask, tmp_path):
    """Defaults < file < environment < --set, key by key."""
    text = "seed: 1\nschedule: {settle_s: 1s}\nclock: {speed: 1}\nlogging: {keep: 2}\n"
    environ = {"EVENKEEL__SEED": "2", "EVENKEEL__CLOCK__SPEED": "2", "EVENKEEL_HOME": "elsewhere"}
    loaded = ask(text, "clock.speed=3", environ=environ)

    assert loaded.config.logging.level == "info"
    assert loaded.config.logging.keep == 2
    assert loaded.config.schedule.settle_s == 1
    assert loaded.config.seed == 2
    assert loaded.config.clock.speed == 3.0
    assert loaded.sources == {
        "schedule.settle_s": str(tmp_path / "given.yaml"),
        "logging.keep": str(tmp_path / "given.yaml"),
        "seed": "EVENKEEL__SEED",
        "clock.speed": "--set",
    }


def test_of_two_overrides_the_last_wins(ask):
    """--set is read from left to right."""
    assert ask(None, "seed=1", "seed=2").config.seed == 2


def test_words_become_the_programs_own_units(ask):
    """Durations become seconds, dates UTC seconds, money Decimal, lists tuples."""
    text = "clock: {kind: virtual, from: 2025-07-01, to: 2025-07-01T12:30}\nuniverse: {only: [BTC, ETH]}\n"
    config = ask(text, "venue.capital=0.1", "feed.bar=1h").config

    assert config.clock.start == 1_751_328_000
    assert config.clock.end == 1_751_328_000 + 45_000
    assert config.feed.bar == 3_600
    assert config.universe.only == ("BTC", "ETH")
    assert config.venue.capital == Decimal("0.1")


def test_whole_numbers_are_numbers(ask):
    """YAML writes 10 where the program means 10.0."""
    value = ask("feed: {timeout_s: 10}").config.feed.timeout_s

    assert isinstance(value, float)


@pytest.mark.parametrize(("written", "seconds"), [("1e1", 10.0), ("1.5e+1", 15.0), (".5", 0.5), ("+2", 2.0)])
def test_numbers_may_be_written_as_in_yaml_1_2(ask, written, seconds):
    """YAML 1.1 would take 1e1 for text."""
    assert ask(f"feed: {{timeout_s: {written}}}").config.feed.timeout_s == seconds


def test_an_empty_file_and_an_empty_section_change_nothing(ask):
    """`clock:` with nothing below it is what a person leaves after deleting keys."""
    assert ask("").config == Config()
    assert ask("clock:\n").config == Config()


def test_the_homes_own_config_is_read_without_asking(tmp_path):
    """config/config.yaml of the home is the file when none is named."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("seed: 11\n", encoding="utf-8")

    assert load(None, environ={}, overrides=(), home=tmp_path).config.seed == 11


def test_config_cannot_be_changed(ask):
    """What was loaded stays."""
    with pytest.raises(FrozenInstanceError):
        ask().config.seed = 3


MISTAKES = {
    "unknown key in a section": ("clock: {kin: real}", (), ["clock.kin", "did you mean clock.kind?"]),
    "unknown section": ("clok: {kind: real}", (), ["clok", "did you mean clock?"]),
    "key without its section": ("speed: 3", (), ["speed", "did you mean clock.speed?"]),
    "unknown key without a neighbour": ("clock: {zzz: 1}", (), ["clock.zzz", "clock.kind"]),
    "below the range": ("clock: {speed: -1}", (), ["clock.speed is -1", "0 to 1,000,000", "market seconds"]),
    "above the range": ("schedule: {risk: 5d}", (), ["schedule.risk is '5d'", "1s to 1d"]),
    "on an open bound": ("venue: {capital: 0}", (), ["venue.capital is 0", "more than 0"]),
    "not a number": ("feed: {timeout_s: fast}", (), ["feed.timeout_s is 'fast'", "number"]),
    "nan": ("feed: {timeout_s: .nan}", (), ["feed.timeout_s is nan"]),
    "infinite": ("clock: {speed: .inf}", (), ["clock.speed is inf"]),
    "true for a number": ("seed: true", (), ["seed is true", "whole number"]),
    "fraction for a whole number": ("seed: 1.5", (), ["seed is 1.5", "whole number"]),
    "yes for true": ("dry_run: yes", (), ["dry_run is 'yes'", "true or false"]),
    "number for true": ("dry_run: 1", (), ["dry_run is 1", "true or false"]),
    "word outside the list": ("venue: {kind: papr}", (), ["venue.kind is 'papr'", "one of paper, roostoo, spot"]),
    "null": ("seed: null", (), ["seed is null"]),
    "text for a list": ("universe: {only: BTC}", (), ["universe.only is 'BTC'", "list of text"]),
    "number in a list of text": ("universe: {only: [BTC, 3]}", (), ["universe.only.1 is 3"]),
    "number for text": ("feed: {source: 3}", (), ["feed.source is 3"]),
    "number for a section": ("clock: 3", (), ["clock is 3", "kind, from, to, speed"]),
    "list for a section": ("clock: [kind]", (), ["clock is ['kind']"]),
    "no date": ("clock: {from: yesterday}", (), ["clock.from is 'yesterday'", "2025-07-01"]),
    "no duration": ("feed: {bar: 30 minutes}", (), ["feed.bar is '30 minutes'", "15m"]),
    "virtual clock without a window": ("clock: {kind: virtual}", (), ["clock: ", "both from and to"]),
    "window from back to front": ("clock: {from: 2025-08-01, to: 2025-07-01}", (), ["clock: from must be before to"]),
    "cadences that do not fit": ("schedule: {score: 20m}", (), ["schedule: score (20m)", "risk (15m)"]),
    "rebalance that does not divide a day": ("schedule: {rebalance: 5h}", (), ["schedule: rebalance (5h)"]),
    "malformed": ("seed: 1\nclock: [1\nfeed: 2", (), ["line 3", "not valid YAML"]),
    "tabs": ("clock:\n\tkind: real", (), ["line 2", "not valid YAML"]),
    "key twice": ("seed: 1\nseed: 2", (), ["line 2", "'seed' stands twice"]),
    "not keys": ("- seed", (), ["holds a list"]),
    "two documents": ("seed: 1\n---\nseed: 2", (), ["not valid YAML"]),
    "a python object": ("seed: !!python/object/apply:os.getcwd []", (), ["not valid YAML"]),
    "override without a value": (None, ("seed",), ["--set seed", "key=value"]),
    "override of nothing": (None, ("=3",), ["--set =3", "key=value"]),
    "malformed override": (None, ("seed=[",), ["--set seed", "not valid YAML"]),
    "unknown override": (None, ("schedule.rsk=15m",), ["--set: unknown key schedule.rsk", "schedule.risk"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_sentence_that_names_it(ask, mistake):
    """Where, which key, which value, what is allowed."""
    text, overrides, words = MISTAKES[mistake]

    with pytest.raises(ConfigError) as error:
        ask(text, *overrides)

    for word in [*words, "given.yaml" if text is not None else "--set"]:
        assert word in sentence(error)


def test_a_mistake_in_the_environment_names_the_variable(ask):
    """The file is not blamed for what stands in the environment."""
    with pytest.raises(ConfigError) as error:
        ask("seed: 1", environ={"EVENKEEL__SEED": "-4"})
    assert sentence(error).startswith("EVENKEEL__SEED: seed is -4")

    with pytest.raises(ConfigError) as error:
        ask("seed: 1", environ={"EVENKEEL__CLOCK__KIDN": "real"})
    assert sentence(error) == "EVENKEEL__CLOCK__KIDN: unknown key clock.kidn: did you mean clock.kind?"


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    """Exit 2, with the presets that there are."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "none.yaml", environ={}, overrides=(), home=tmp_path)

    assert "none.yaml" in sentence(error)
    assert "config/config.yaml" in sentence(error)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    """Bytes that are no UTF-8, and control bytes that YAML does not know."""
    for content in (b"seed: \xff\xfe", b"seed: \x00"):
        (tmp_path / "given.yaml").write_bytes(content)
        with pytest.raises(ConfigError) as error:
            load(tmp_path / "given.yaml", environ={}, overrides=(), home=tmp_path)
        assert "given.yaml" in sentence(error)


@given(key=st.sampled_from(KEYS), place=st.integers(0, 40), letter=st.sampled_from("abcxyz_"))
def test_a_slip_of_one_letter_is_an_error_with_a_suggestion(tmp_path_factory, key, place, letter):
    """Any key with one letter put in is unknown, and never silently ignored."""
    last = key.rpartition(".")[2]
    slip = last[: place % len(last)] + letter + last[place % len(last) :]
    wrong = key.removesuffix(last) + slip

    with pytest.raises(ConfigError, match="unknown key") as error:
        load(None, environ={}, overrides=[f"{wrong}=1"], home=tmp_path_factory.getbasetemp())
    sentence(error)


@given(text=st.text(max_size=60))
def test_no_text_at_all_escapes_as_anything_but_a_config_error(tmp_path_factory, text):
    """Whatever stands in a file: it loads, or one sentence says why not."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load(path, environ={}, overrides=(), home=path.parent)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are lawful


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    key=st.sampled_from(KEYS),
)
def test_no_value_escapes_as_anything_but_a_config_error(value, key):
    """Any value of any shape under any key is accepted or refused in words."""
    from evenkeel.config.values import build

    tree = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    try:
        built = build(Config(), tree, {})
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are lawful
    else:
        assert show(built)
