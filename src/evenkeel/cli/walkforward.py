"""`walkforward`: models refitted as time goes by, the portfolio they would have held, and every baseline beside it."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from evenkeel.cli import backtests, candles
from evenkeel.cli.backtests import Ask
from evenkeel.cli.candles import Data, Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Overrides, aligned, emit, errors, percent, say
from evenkeel.cli.period import Period, figures, held, period
from evenkeel.cli.progress import progress
from evenkeel.errors import EvidenceError
from evenkeel.signals.strategies import BASELINES, OPINIONATED
from evenkeel.types import Brain
from evenkeel.units import iso

if TYPE_CHECKING:
    from evenkeel.research.evidence import Evidence
    from evenkeel.research.walkforward import Walked

FAMILY = "walkforward"


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(walkforward)


def walkforward(
    context: typer.Context,
    data: Data,
    label: Annotated[
        Literal["rank_vol", "rank", "demeaned", "raw"],
        typer.Option(help="What is fitted: ranks of volatility-scaled, ranks, demeaned or raw returns."),
    ] = "rank",
    folds: Annotated[int, typer.Option(min=2, max=50, help="Times that the models are fitted anew.")] = 6,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Every random number derives from it.")] = 7,
    jobs: Annotated[int, typer.Option(min=1, help="Fits at once; changes no outcome.")] = 2,
    baselines: Annotated[bool, typer.Option(help="Back-test every baseline over the same days.")] = True,
    portfolio: Annotated[bool, typer.Option(help="Back-test the portfolio; without, the forecasts are judged.")] = True,
    until: Annotated[str | None, typer.Option(help="UTC date; later bars are not looked at.")] = None,
    holdout: Holdout = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Refit the alpha before each of --folds tests, and count nothing but the tests: the source of headline numbers."""
    from evenkeel.research import walkforward as research
    from evenkeel.research.fitting import TrainSettings

    made, began = context.obj, time.monotonic()
    preset = config or Path("config/replay.yaml")
    _, pairs = candles.configured(made, preset, overrides)
    leave = (made, f"walkforward --label {label}") if holdout else None
    read = candles.read(data, pairs, until=candles.moment("--until", until), leave=leave)
    errors().print(read.sentence(), soft_wrap=True)
    with progress(2 * folds, "fits", quiet=as_json) as advance:
        walked = research.walk(
            read.panel, TrainSettings(label=label, folds=folds, seed=seed), jobs=jobs,
            on_progress=lambda _done, _total: advance(1),
        )  # fmt: skip
    document: dict[str, Any] = {
        "command": "walkforward", "data": read.to_json(), "label": label, "seed": seed, **_of_forecasts(walked),
    }  # fmt: skip
    if portfolio:
        panel = held(read.panel, [pair.asset for pair in pairs])
        ask, since = Ask(made, preset, tuple(overrides or ())), walked.steps[0].fold.test_from
        days = period(ask, panel, since, int(panel.time[-1]), quiet=as_json)
        document |= _judged(days, walked, baselines=baselines)
    document |= {
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
    }
    if as_json:
        emit(document)
    else:
        _show(document)
    _refuse_leak(walked)


def _refuse_leak(walked: Walked) -> None:
    """Raise EvidenceError where forecasts are too good to be true."""
    from evenkeel.research.walkforward import LEAK_IC, LEAK_RANK_IC_NEUTRAL

    if walked.leaking:
        raise EvidenceError(
            f"leak alarm: out of sample, IC {walked.mixed.ic:.3f} and vol-neutral RankIC "
            f"{walked.mixed.rank_ic_neutral:.3f} are more than honest features give (limits {LEAK_IC} and "
            f"{LEAK_RANK_IC_NEUTRAL}): look for a feature that knows the next bar (`evenkeel honesty`)"
        )


def _judged(days: Period, walked: Walked, *, baselines: bool) -> dict[str, Any]:
    """The portfolio's figures, and one verdict per baseline by the count of everything tried."""
    from evenkeel import metrics
    from evenkeel.research import significance, trials

    ours = days.run(OPINIONATED, Brain(alpha=walked.models), family=FAMILY)
    others = {name: days.run(name, Brain()) for name in BASELINES} if baselines else {}
    returns = metrics.daily_returns(*ours.curve)[1]
    known, families = backtests.ledger(days.ask.made.home), (FAMILY, trials.FIRST_LOOK)
    rng = np.random.default_rng(0)
    counted = trials.count(known, families)
    luck = significance.deflated_sharpe(returns, counted.trials, counted.variance)
    spread = significance.intervals(returns, np.zeros(len(returns)), rng)
    overfit = significance.overfitting(trials.table(known, (FAMILY,))[1])
    verdicts = trials.judge(known, families, ours.curve, {name: one.curve for name, one in others.items()}, rng)
    return {
        "portfolio": {
            **figures(ours), "sharpe_interval": [spread.sharpe.low, spread.sharpe.high],
            "deflated_sharpe": luck.probability, "trials": counted.trials,
        },
        "pbo": {"probability": overfit.probability, "trials": overfit.trials, "reason": overfit.reason},
        "baselines": [
            {"strategy": one.baseline, **figures(others[one.baseline]), "verdict": one.word, "sentence": one.sentence}
            for one in verdicts
        ],
        "config_digest": ours.loaded.digest,
    }  # fmt: skip


def _of_forecasts(walked: Walked) -> dict[str, Any]:
    """Evidence of every fold and of all tests together, by horizon and as it is served."""
    return {
        "folds": [
            {
                "train": [iso(step.fold.train_from), iso(step.fold.train_until)],
                "test": [iso(step.fold.test_from), iso(step.fold.test_until)],
                "trees": {str(h): count for h, count in step.trees.items()},
                "strength": step.model.strength,
                "evidence": _evidence(step.found, step.mixed),
            }
            for step in walked.steps
        ],
        "evidence": _evidence(walked.found, walked.mixed),
        "test_days": round(walked.days, 1),
        "leak_alarm": walked.leaking,
    }


def _evidence(found: Mapping[int, Evidence], mixed: Evidence) -> dict[str, Any]:
    return {**{f"{h}h": one.to_json() for h, one in found.items()}, "mixed": mixed.to_json()}


def _show(document: Mapping[str, Any]) -> None:
    """Folds, portfolio and verdicts for people."""
    columns = ("ic", "ic_t", "rank_ic", "rank_ic_neutral")
    rows = [
        (fold["test"][0][:10], name, *(_figure(one[c]) for c in columns))
        for fold in document["folds"]
        for name, one in fold["evidence"].items()
    ]
    rows += [("all", name, *(_figure(one[c]) for c in columns)) for name, one in document["evidence"].items()]
    for line in aligned(("test from", "forecast", *columns), rows, right=(2, 3, 4, 5)):
        say(line)
    if "portfolio" not in document:
        return
    say()
    runs = [("walk-forward portfolio", document["portfolio"])]
    runs += [(one["strategy"], one) for one in document["baselines"]]
    cells = [
        (
            name,
            percent(one["total_return"]),
            percent(one["cagr"]),
            _figure(one["sharpe"], 2),
            percent(one["max_drawdown"]),
        )
        for name, one in runs
    ]
    for line in aligned(("", "return", "a year", "Sharpe", "drawdown"), cells, right=(1, 2, 3, 4)):
        say(line)
    own, pbo = document["portfolio"], document["pbo"]
    low, high = own["sharpe_interval"]
    say(
        f"\nSharpe ratio 90 % interval {low:.2f} to {high:.2f}; deflated Sharpe ratio "
        f"{_figure(own['deflated_sharpe'], 2)} after {own['trials']} trials; probability of overfitting "
        f"{_figure(pbo['probability'], 2) if pbo['probability'] is not None else 'not computed: ' + pbo['reason']}"
    )
    for one in document["baselines"]:
        say(one["sentence"])


def _figure(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:+.{digits}f}"
