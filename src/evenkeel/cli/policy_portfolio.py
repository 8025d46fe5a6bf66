"""A policy as a portfolio: the strategy `policy` of each of its actors, and what has to be beaten beside it.

Every back-test is a line of the ledger, and verdicts are deflated by all tries of the family, trainings included. The
tilt has a verdict of its own: the rebalancer that hears it against the same one that does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evenkeel.cli import backtests
from evenkeel.cli.period import Period, figures
from evenkeel.cli.variants import NAMES
from evenkeel.signals.strategies import LEARNED, OPINIONATED
from evenkeel.types import Brain

if TYPE_CHECKING:
    from evenkeel.cli.backtests import Tried
    from evenkeel.research.evaluate_policy import Cast
    from evenkeel.research.significance import Verdict

PLAIN = ("buy_and_hold", "equal_weight", "inverse_vol")
WITH, WITHOUT = "evenkeel with the tilt", "evenkeel without it"
SEED = 0


@dataclass(frozen=True, slots=True)
class Traded:
    """Back-tests by name: of the actors, of the plain strategies, and of the rebalancer with and without the tilt."""

    actors: Mapping[str, Tried]
    plain: Mapping[str, Tried]
    blends: Mapping[str, Tried]

    @property
    def others(self) -> dict[str, Tried]:
        """Everything that an actor has to beat."""
        return {**self.plain, **self.blends}

    @property
    def in_sample(self) -> bool:
        """Whether some model judged bars that it was trained on."""
        return any(one.seen.in_sample for one in self.blends.values())


def judged(days: Period, cast: Cast, *, router: bool) -> dict[str, Any]:
    """Figures of all runs, and a verdict per actor and baseline."""
    from evenkeel.research.evaluate_policy import spread
    from evenkeel.research.report.judgement import item

    runs = _traded(days, cast, router=router)
    judges = [name for name in (cast.chosen, "routed") if name in runs.actors]
    rows = {name: figures(one) for name, one in {**runs.actors, **runs.others}.items()}
    seeds = [{key: rows[name][key] for key in SPREAD} for name in cast.seeds]
    words = {name: [item(one) for one in _against(days, runs.actors[name], runs.others)] for name in judges}
    tilt = _against(days, runs.blends[WITH], {WITHOUT: runs.blends[WITHOUT]}) if WITH in runs.blends else ()
    return {
        "days": round((days.last - days.first) / 86_400),
        "capital": float(runs.plain[NAMES[PLAIN[0]]].loaded.config.venue.capital),
        "runs": [{"name": name, **found} for name, found in rows.items()],
        "spread": spread(seeds),
        "verdicts": [{"of": name, **one} for name, found in words.items() for one in found],
        "tilt": next((item(one) for one in tilt), None),
        "in_sample": runs.in_sample,
    }


SPREAD = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown", "turnover", "fees")
"""Metrics whose spread over the seeds is told."""


def _traded(days: Period, cast: Cast, *, router: bool) -> Traded:
    actors = {name: days.run(LEARNED, Brain(policy=cast.alone(name)), name=f"policy of {name}") for name in cast.seeds}
    if router and cast.routed:
        actors["routed"] = days.run(LEARNED, Brain(policy=cast.model), name="policy, routed")
    plain = {NAMES[name]: days.run(name, Brain()) for name in PLAIN}
    return Traded(actors, plain, _blends(days, cast))


def _blends(days: Period, cast: Cast) -> dict[str, Tried]:
    """The rebalancer with and without the tilt, everything else in use as it is; where it may not speak, without."""
    from evenkeel import wiring

    off, on = "opinions.policy=false", "opinions.policy=true"
    brain = wiring.brain_of(days.loaded(OPINIONATED, off).config, days.ask.made.home)
    made = {}
    if cast.served:
        made[WITH] = days.run(OPINIONATED, replace(brain, policy=cast.model), on, name=WITH, watched=True)
    made[WITHOUT] = days.run(OPINIONATED, brain, off, name=WITHOUT, watched=True)
    return made


def _against(days: Period, ours: Tried, others: Mapping[str, Tried]) -> Sequence[Verdict]:
    """Daily active return against each other run, by the count of every try that led here."""
    from evenkeel.research import trials

    known = backtests.ledger(days.ask.made.home)
    curves = {name: one.curve for name, one in others.items()}
    families = tuple(dict.fromkeys((ours.loaded.config.strategy, LEARNED, trials.FIRST_LOOK)))
    return trials.judge(known, families, ours.curve, curves, np.random.default_rng(SEED))
