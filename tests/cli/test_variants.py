"""The back-tests beside a run are configurations like any other: what each brings, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from evenkeel.cli import journaled, variants
from evenkeel.cli.backtests import Ask
from evenkeel.cli.output import Context
from evenkeel.research.report import Rows
from evenkeel.signals.strategies import Name
from evenkeel.units import DAY_S, utc

BENT = ("overlay.vol_target=0.1", "costs.taker=20", "allocate.cash_buffer=0.3", "venue.capital=5000")


@pytest.fixture
def ask(tmp_path):
    """The demo, bent in what a baseline must not mind and in what it must."""
    return Ask(Context(tmp_path, {}), Path("config/demo.yaml"), BENT)


def test_every_strategy_has_a_name_and_btc_comes_first(ask):
    found = variants.baselines(ask, ask.loaded(), quick=False)

    assert set(variants.NAMES) == set(get_args(Name))
    assert list(found) == [name for key, name in variants.NAMES.items() if key not in {"rebalancer", "policy"}]
    assert list(variants.baselines(ask, ask.loaded(), quick=True)) == ["buy-and-hold BTC"]


def test_a_baseline_has_the_runs_costs_and_capital_and_its_own_rules(ask):
    plain = replace(ask, overrides=BENT[1:2] + BENT[3:])
    for name, loaded in variants.baselines(ask, ask.loaded(), quick=False).items():
        other = variants.baselines(plain, plain.loaded(), quick=False)[name].config
        assert (loaded.config.costs.taker, loaded.config.venue.capital) == (20.0, 5000)
        if loaded.config.allocate.method == "direct":
            assert (loaded.config.overlay, loaded.config.allocate) == (other.overlay, other.allocate)
        else:
            assert loaded.config.overlay.vol_target == 0.1


def test_twice_the_cost_is_twice_every_cost_even_beyond_what_may_be_set(ask):
    own = ask.loaded("costs.impact.tier3=900")
    once, twice = own.config.costs, variants.doubled(own).config.costs

    assert (twice.taker, twice.maker) == (2 * once.taker, 2 * once.maker)
    tiers = np.array([1, 2, 3])
    assert np.allclose(twice.half_spread.of(tiers), 2 * once.half_spread.of(tiers))
    assert np.allclose(twice.impact.of(tiers), 2 * once.impact.of(tiers))
    assert variants.doubled(own).digest != own.digest


def test_the_share_of_the_edge_is_labelled_as_the_embedded_markets(ask):
    """Only a crowd that is part of the market can be back-tested; how much it was told stands beside it."""
    own = ask.loaded("synthetic.boards=true", "synthetic.crowd_knows=0.3")
    found = variants.without(ask, own, ("edge",), {})

    assert "without edge" in found.runs
    assert any(
        "embedded market, whose crowd knows 0.3" in note and "nothing about Kalshi" in note for note in found.notes
    )
    assert not any("Kalshi" in note for note in variants.without(ask, own, ("alpha",), {}).notes)


def test_without_alpha_its_stand_in_is_silent_too(ask):
    found = variants.without(ask, ask.loaded(), ("alpha", "edge"), {"policy": "no model"})
    alpha, edge = (found.runs[f"without {name}"].config.opinions for name in ("alpha", "edge"))

    assert (alpha.alpha, alpha.rule, alpha.edge) == (False, False, True)
    assert (edge.alpha, edge.rule, edge.edge) == (True, True, False)
    assert found.notes[0] == "Without policy: not computed, it said nothing anyway (no model)."
    assert "stand-in" in found.notes[-1]


def test_a_policy_that_trades_alone_is_not_run_without_itself(ask):
    """It keeps its own allocation without the overlay; in the rebalancer it is silenced like any other."""
    alone = Ask(
        ask.made, Path("config/rl.yaml"), ("clock.kind=virtual", "clock.from=2025-07-01", "clock.to=2025-08-01")
    )
    own = alone.loaded()
    found = variants.without(alone, own, ("policy",), {})

    assert list(found.runs) == ["without overlay"]
    assert found.runs["without overlay"].config.allocate == own.config.allocate
    assert "Without policy: not computed, nothing else decides." in found.notes
    silenced = variants.without(ask, ask.loaded(), ("policy",), {}).runs["without policy"].config.opinions
    assert (silenced.policy, silenced.alpha, silenced.rule) == (False, True, True)


def test_without_overlay_no_limit_binds(ask):
    bare = variants.without(ask, ask.loaded(), (), {}).runs["without overlay"].config

    assert not bare.overlay.exits
    assert bare.overlay.caps.tier1 == bare.overlay.daily_loss == bare.overlay.drawdown_floor == 1.0
    assert bare.allocate == ask.loaded().config.allocate


def test_a_run_without_an_overlay_is_not_run_again_without_it(ask):
    held = replace(ask, overrides=("strategy=buy_and_hold",))
    found = variants.without(held, held.loaded(), (), {})

    assert found.runs == {}
    assert found.notes == ("Without overlay: not computed, the run has none.",)


def test_a_service_is_compared_over_the_whole_days_that_it_ran(tmp_path):
    """Whatever clock it had: baselines replay the candles that it kept."""
    start = utc("2025-07-01T09:00")
    equity = [{"slot": "", "time": start + i * DAY_S, "equity": 1.0} for i in range(3)]
    live = Ask(Context(tmp_path, {}), None, ())
    made = journaled.over(live, live.loaded(), Rows(equity, (), (), (), 1.0)).loaded().config

    assert (made.clock.kind, made.clock.start, made.clock.end) == ("virtual", utc("2025-07-01"), utc("2025-07-04"))
    assert (made.feed.kind, made.feed.source) == ("archive", "binance")
