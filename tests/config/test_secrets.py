"""Secrets: where they may lie, who may read them, and what it takes to go live."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from evenkeel.config import Clock, Config, Secrets, Venue, credential_names, live_allowed, secrets
from evenkeel.errors import ConfigError

NAMES = ("ROOSTOO_API_KEY", "ROOSTOO_API_SECRET")
HIDDEN = "hidden-value-4711"


@pytest.fixture
def dotenv(tmp_path):
    """Write the home's .env with a mode."""

    def write(text, mode=0o600):
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return tmp_path

    return write


def found(home, environ=None, *, dry_run=False):
    """What is found for NAMES."""
    return secrets(home, environ or {}, NAMES, dry_run=dry_run).values


def test_a_dry_run_loads_none_and_opens_nothing(dotenv):
    """Not even to complain about the mode."""
    home = dotenv(f"ROOSTOO_API_KEY={HIDDEN}", mode=0o644)

    assert found(home, {"ROOSTOO_API_SECRET": HIDDEN}, dry_run=True) == {}


def test_the_environment_wins_over_the_file(dotenv):
    """The nearer word counts."""
    home = dotenv("ROOSTOO_API_KEY=from-file\nROOSTOO_API_SECRET='quoted # value'\n")

    assert found(home, {"ROOSTOO_API_KEY": "from-environment"}) == {
        "ROOSTOO_API_KEY": "from-environment",
        "ROOSTOO_API_SECRET": "quoted # value",
    }


def test_lines_may_be_exported_commented_and_quoted(dotenv):
    """As a shell would read them."""
    home = dotenv('# keys\n\nexport ROOSTOO_API_KEY = "a b"\nROOSTOO_API_SECRET=c=d # the second\nOTHER=x\n')

    assert found(home) == {"ROOSTOO_API_KEY": "a b", "ROOSTOO_API_SECRET": "c=d"}


def test_a_named_file_is_read(dotenv, tmp_path):
    """NAME_FILE, in the environment or in .env."""
    (tmp_path / "one").write_text("first\n", encoding="utf-8")
    (tmp_path / "two").write_text("second\n", encoding="utf-8")
    home = dotenv(f"ROOSTOO_API_SECRET_FILE={tmp_path / 'two'}\n")

    assert found(home, {"ROOSTOO_API_KEY_FILE": str(tmp_path / "one")}) == {
        "ROOSTOO_API_KEY": "first",
        "ROOSTOO_API_SECRET": "second",
    }


def test_a_named_file_that_is_missing_is_one_sentence(tmp_path):
    """Which variable, which file."""
    with pytest.raises(ConfigError, match=r"ROOSTOO_API_KEY_FILE names .*nowhere"):
        found(tmp_path, {"ROOSTOO_API_KEY_FILE": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o700, 0o777])
def test_env_that_others_may_read_is_refused(dotenv, mode):
    """0600 or nothing; the value is never repeated."""
    home = dotenv(f"ROOSTOO_API_KEY={HIDDEN}", mode)

    with pytest.raises(ConfigError, match="chmod 600") as error:
        found(home)
    assert f"{mode:04o}" in str(error.value)
    assert HIDDEN not in str(error.value)


def test_a_malformed_line_is_named_without_its_content(dotenv):
    """The line's number is enough to find it."""
    home = dotenv(f"OTHER=1\n{HIDDEN}\n")

    with pytest.raises(ConfigError, match="line 2") as error:
        found(home)
    assert HIDDEN not in str(error.value)


def test_secrets_show_their_names_only():
    """A secret never stands in a log by accident."""
    held = Secrets({"ROOSTOO_API_KEY": HIDDEN})

    assert HIDDEN not in repr(held)
    assert HIDDEN not in str(held)
    assert HIDDEN not in f"{held}"
    assert held["ROOSTOO_API_KEY"] == HIDDEN
    assert "OTHER" not in held


@pytest.mark.parametrize(
    ("dry_run", "keys", "word"),
    list(itertools.product([True, False], ["both", "one", "none"], ["right", "wrong", "no"])),
)
def test_going_live_needs_all_three(dry_run, keys, word):
    """Configuration and credentials and the word; each missing one is named."""
    config = replace(Config(), dry_run=dry_run, venue=Venue(kind="roostoo"))
    held = Secrets({"both": dict.fromkeys(NAMES, "x"), "one": {NAMES[0]: "x"}, "none": {}}[keys])
    environ = {"right": {"EVENKEEL_LIVE": "I-understand"}, "wrong": {"EVENKEEL_LIVE": "yes"}, "no": {}}[word]

    if dry_run:
        assert live_allowed(config, environ, held) is False
    elif keys == "both" and word == "right":
        assert live_allowed(config, environ, held) is True
    else:
        missing = "EVENKEEL_LIVE" if keys == "both" else NAMES[1]
        with pytest.raises(ConfigError, match=missing) as error:
            live_allowed(config, environ, held)
        assert "\n" not in str(error.value)


def test_the_paper_venue_and_a_virtual_clock_are_never_live():
    """Contradictions are refused rather than resolved."""
    environ = {"EVENKEEL_LIVE": "I-understand"}
    held = Secrets(dict.fromkeys(NAMES, "x"))
    virtual = Clock(kind="virtual", start=0, end=86_400)

    with pytest.raises(ConfigError, match=r"venue\.kind is paper"):
        live_allowed(Config(dry_run=False), environ, held)
    with pytest.raises(ConfigError, match=r"clock\.kind is virtual"):
        live_allowed(Config(dry_run=False, venue=Venue(kind="roostoo"), clock=virtual), environ, held)


def test_each_venue_names_its_credentials():
    """The paper venue needs none."""
    assert credential_names(Config()) == ()
    assert credential_names(Config(venue=Venue(kind="roostoo"))) == NAMES
    assert len(credential_names(Config(venue=Venue(kind="spot")))) == 2
