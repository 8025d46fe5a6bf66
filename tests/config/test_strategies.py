"""A strategy brings settings: a layer under the one that names it, gone when another is named; no contradictions."""

from __future__ import annotations

from typing import get_args

import orjson
import pytest

from evenkeel.config import load, show
from evenkeel.config.keys import leaves
from evenkeel.config.strategies import PRESETS
from evenkeel.errors import ConfigError
from evenkeel.signals.strategies import LEARNED, WEIGHTS, Name


@pytest.fixture
def ask(tmp_path):
    """Load a configuration from YAML text, overrides and environment."""

    def ask_for(text, *overrides, environ=None):
        path = tmp_path / "given.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, environ=environ or {}, overrides=overrides, home=tmp_path)

    return ask_for


def test_every_strategy_has_its_settings_and_each_is_sound(ask):
    """All names of the key, in its order or not; each has a digest of its own."""
    loaded = {name: ask(f"strategy: {name}\n") for name in get_args(Name)}

    assert set(PRESETS) == set(loaded)
    assert len({one.digest for one in loaded.values()}) == len(loaded)
    for name, one in loaded.items():
        assert one.config.strategy == name
        assert one.config.allocate.method == ("direct" if name in {*WEIGHTS, LEARNED} else "scores")
        assert one.config.overlay.exits is (name not in WEIGHTS)
        assert one.config.opinions.policy is (name in {"rebalancer", LEARNED})
        assert one.config.opinions.rule is (name == "rebalancer")


def test_an_override_that_names_a_strategy_wins_over_the_file_and_loses_to_other_overrides(ask):
    """Wherever it stands among them; and the sources say who set what."""
    text = "overlay: {trailing: 0.3, vol_target: 0.2}\n"
    for words in (("strategy=rsi", "overlay.daily_loss=0.1"), ("overlay.daily_loss=0.1", "strategy=rsi")):
        loaded = ask(text, *words)

        assert (loaded.config.overlay.trailing, loaded.config.overlay.vol_target) == (0.3, 5.0)
        assert loaded.config.overlay.daily_loss == 0.1
        assert loaded.sources["overlay.vol_target"] == "strategy rsi"
        assert loaded.sources["overlay.daily_loss"] == loaded.sources["strategy"] == "--set"


def test_a_file_that_names_a_strategy_has_the_last_word_on_its_own_keys(ask):
    loaded = ask("strategy: rsi\noverlay: {vol_target: 0.2}\n")

    assert loaded.config.overlay.vol_target == 0.2
    assert loaded.config.overlay.exits is False


def test_another_strategy_takes_the_settings_of_the_first_away(ask):
    """A file or the environment says rsi, the command line rebalancer: nothing of rsi is left."""
    plain = ask("seed: 1\n")

    assert ask("seed: 1\nstrategy: rsi\n", "strategy=rebalancer").config == plain.config
    assert ask("seed: 1\n", "strategy=rebalancer", environ={"EVENKEEL__STRATEGY": "rsi"}).config == plain.config
    assert ask("seed: 1\n", environ={"EVENKEEL__STRATEGY": "rsi"}).config.strategy == "rsi"


@pytest.mark.parametrize("name", get_args(Name))
def test_what_is_shown_is_read_back_as_it_was(ask, name):
    """The resolved configuration as a file, whatever was overridden: the same digest."""
    first = ask("seed: 3\n", f"strategy={name}", "overlay.trailing=0.5", "orders.band.score=0.123")
    again = ask(orjson.dumps(show(first.config)).decode())

    assert again.digest == first.digest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("strategy=momentun",), ("strategy is 'momentun'", "did you mean momentum?")),
        (("strategy=3",), ("strategy is 3", "rebalancer, buy_and_hold")),
        (("strategy=null",), ("strategy is null",)),
        (("strategy=[rsi]",), ("strategy is ['rsi']",)),
        (("strategy=rsi", "allocate.method=scores"), ("rsi needs allocate.method direct, not scores", "--strategy")),
        (("allocate.method=direct",), ("rebalancer needs allocate.method scores, not direct",)),
        (("strategy=low_vol", "opinions.alpha=true"), ("low_vol stands alone, but opinions.alpha is true",)),
        (("strategy=policy", "allocate.method=scores"), ("policy needs allocate.method direct",)),
        (("strategy=policy", "opinions.alpha=true"), ("policy stands alone, but opinions.alpha is true",)),
        (("strategy=policy", "opinions.policy=false"), ("policy decides by opinions.policy, which is false",)),
        (("strategy=equal_weight", "opinions.rule=true"), ("equal_weight stands alone, but opinions.rule is true",)),
    ],
)
def test_what_does_not_go_together_is_one_sentence(ask, words, said):
    with pytest.raises(ConfigError) as error:
        ask("seed: 1\n", *words)

    text = str(error.value)
    assert "\n" not in text
    assert error.value.exit_code == 2
    for part in said:
        assert part in text


def test_presets_name_keys_that_exist_and_change_something(ask):
    """A key that a preset sets to the default would be noise; a baseline's caps are all of them."""
    default = {leaf.path: leaf.default for leaf in leaves(ask("seed: 7\n").config)}
    for name in PRESETS:
        loaded = ask("seed: 7\n", f"strategy={name}")
        own = {path for path, source in loaded.sources.items() if source == f"strategy {name}"}
        value = {leaf.path: leaf.default for leaf in leaves(loaded.config)}

        assert {path for path in own if value[path] == default[path]} <= {"allocate.gross.trend"}


def test_winners_of_the_policy_may_drift(ask):
    """The overlay cuts a position later than the allocation stops buying it, and cash is left for costs."""
    made = ask("strategy: policy\n").config

    for tier in ("tier1", "tier2", "tier3", "tier3_sleeve"):
        assert getattr(made.overlay.caps, tier) > 1.1 * getattr(made.allocate.caps, tier)
    assert made.allocate.cash_buffer > made.orders.cash_reserve
