"""A run and all the back-tests that stand beside it -> the document of its report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evenkeel.cli import variants
from evenkeel.cli.backtests import Ask, Tried, command_line, ledger, slots_of, tried
from evenkeel.cli.output import Context
from evenkeel.cli.progress import progress
from evenkeel.errors import UsageError
from evenkeel.units import DAY_S, iso

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.research.report import ReportData
    from evenkeel.research.report.data import Curve
    from evenkeel.types import Pair

QUICK = "--quick was given"
FEWEST_DAYS = 2
DEAR = "costs x 2"
"""Family of runs at twice the cost: what one cannot choose is no try."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A back-test to run beside another one; family = whose try it is, `` = its strategy's."""

    name: str
    loaded: Loaded
    family: str = ""


def enough(loaded: Loaded) -> None:
    """Refuse before the work a window that is too short for a report. Raises UsageError."""
    from evenkeel import wiring

    start, end = wiring.window(loaded.config)
    if end - start < FEWEST_DAYS * DAY_S:
        days = f"a window of {(end - start) / DAY_S:.1f} days is too short for a report"
        raise UsageError(f"{days}: give {FEWEST_DAYS} days or more (clock.from, clock.to)")


def run(ask: Ask, title: str, *, quiet: bool) -> Tried:
    """The back-test that was asked for."""
    loaded = ask.loaded()
    with progress(len(slots_of(loaded.config)), title, quiet=quiet) as advance:
        return tried(ask.made, loaded, advance)


def unjudged(done: Tried) -> dict[str, Any]:
    """What the document of a back-test says of its worth before anything stands beside it."""
    from evenkeel.research.report import UNJUDGED

    mark = "IN-SAMPLE: " if done.seen.in_sample else ""
    return {"in_sample": done.seen.in_sample, "verdict": f"{mark}Not judged: {UNJUDGED}.", "trial": done.trial.id}


def curves(made: Context, todo: Sequence[Beside], *, quiet: bool) -> dict[str, Curve]:
    """Run back-tests one after the other under one progress bar; name -> equity."""
    total = sum(len(slots_of(one.loaded.config)) for one in todo)
    with progress(total, f"{len(todo)} more", quiet=quiet) as advance:
        return {one.name: tried(made, one.loaded, advance, family=one.family, watched=False).curve for one in todo}


def baselines(ask: Ask, own: Loaded, *, quick: bool) -> list[Beside]:
    """What the run is judged against."""
    return [Beside(name, loaded) for name, loaded in variants.baselines(ask, own, quick=quick).items()]


def of_backtest(ask: Ask, done: Tried, *, quick: bool, quiet: bool) -> dict[str, Any]:
    """The document of a back-test, after all back-tests that it is compared with."""
    own = done.loaded
    beaten = baselines(ask, own, quick=quick)
    ablation = variants.without(ask, own, done.seen.spoke, done.seen.silent)
    parts = [] if quick else [Beside(name, one, own.config.strategy) for name, one in ablation.runs.items()]
    dear = [] if quick else [Beside(DEAR, variants.doubled(own), DEAR)]
    found = curves(ask.made, [*beaten, *parts, *dear], quiet=quiet)
    data = replace(
        _of_run(done, facts(ask.made, own, done.engine.missing)),
        baselines=_picked(found, beaten),
        variants=_picked(found, parts),
        doubled=found.get(DEAR),
        absent=dict.fromkeys(("ablation", "doubled"), QUICK) if quick else {},
        notes=_quick_notes() if quick else {"ablation": ablation.notes},
    )
    return judged(data, ask.made, own)


def _of_run(done: Tried, known: Mapping[str, str]) -> ReportData:
    """What the run itself knows."""
    from evenkeel.research.report import ReportData

    config, seen = done.loaded.config, done.seen
    return ReportData(
        title=title_of(done.loaded),
        command=command_line(),
        config_digest=done.loaded.digest,
        created=int(time.time()),
        name=variants.NAMES[config.strategy],
        strategy=done.curve,
        in_sample=seen.in_sample,
        costs=seen.costs(done.fills, float(config.venue.capital)),
        traded=seen.traded(done.fills),
        contributions=seen.contributions(tiers_of(done.engine.rules.pairs)),
        forecasts=done.forecasts,
        regimes=seen.regimes,
        facts=known,
    )


def _picked(found: Mapping[str, Curve], those: Sequence[Beside]) -> dict[str, Curve]:
    return {one.name: found[one.name] for one in those}


def _quick_notes() -> dict[str, Sequence[str]]:
    return {"figures": [f"Not computed: the other baselines, the ablation and doubled costs ({QUICK})."]}


def judged(data: ReportData, made: Context, own: Loaded) -> dict[str, Any]:
    """The document, with one verdict per baseline by the home's count of everything tried."""
    from evenkeel.research import report, significance, trials

    family = own.config.strategy
    known, families = ledger(made.home), _families(family)
    judging, drawing = np.random.default_rng(own.config.seed).spawn(2)
    full = replace(
        data,
        verdicts=trials.judge(known, families, data.strategy, data.baselines, judging) if data.baselines else None,
        overfit=significance.overfitting(trials.table(known, (family,))[1]),
        families=families,
        facts={**data.facts, "ledger of trials": f"data/{trials.FILE} of the home, and what shipped"},
    )
    return {"command": "report", **report.build(full, drawing)}


def _families(strategy: str) -> tuple[str, ...]:
    """Whose tries led to a run: its own strategy's, the first look and, where models decide, their walk-forwards."""
    from evenkeel.cli.walkforward import FAMILY
    from evenkeel.research.trials import FIRST_LOOK

    return (strategy, FAMILY, FIRST_LOOK) if strategy == variants.OPINIONATED else (strategy, FIRST_LOOK)


def tiers_of(pairs: Iterable[Pair]) -> dict[str, int]:
    """Asset -> tier."""
    return {pair.asset: pair.tier for pair in pairs}


def title_of(loaded: Loaded) -> str:
    """`evenkeel on perp_30m`."""
    feed = loaded.config.feed
    market = {"synthetic": "the embedded market", "archive": feed.source, "ccxt": feed.exchange}[feed.kind]
    return f"{variants.NAMES[loaded.config.strategy]} on {market}"


def facts(made: Context, loaded: Loaded, missing: Sequence[str]) -> dict[str, str]:
    """What else one has to know to run it again."""
    from importlib.metadata import version

    from evenkeel import wiring

    config = loaded.config
    pairs = [pair.asset for pair in wiring.universe(config, made.home) if pair.asset not in missing]
    return {
        "window": " to ".join(map(iso, wiring.window(config))),
        "universe": f"{len(pairs)} pairs" + (f"; without candles: {', '.join(missing)}" if missing else ""),
        "capital": f"{config.venue.capital:,} USD",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("evenkeel", "numpy")),
    }
