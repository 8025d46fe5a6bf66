"""`report --from-journal`: the run that this home remembers, beside back-tests over the same days."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenkeel import metrics
from evenkeel.cli import measured, remembered, variants
from evenkeel.cli.backtests import Ask, command_line, enter
from evenkeel.cli.output import Context
from evenkeel.errors import EvenkeelError, NotReadyError
from evenkeel.journal import recent
from evenkeel.units import DAY_S, iso

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.research.report import ReportData, Rows
    from evenkeel.research.report.data import Curve
    from evenkeel.types import Brain

EVERYTHING = 2**62
READ: Mapping[str, tuple[str, ...]] = {
    "equity": ("slot", "time", "equity"),
    "fills": ("slot", "asset", "quantity", "price", "fee", "time"),
    "targets": ("slot", "asset", "price"),
    "plans": ("slot", "plan"),
}
"""Of each table what a report needs: a year of plans with their books would not fit."""

LIVED = "the run was no back-test: `evenkeel backtest --report` repeats it without its parts and at twice the cost"
UNSEEN = "the journal keeps the scores of what was held, not of all assets"
GAPS = "the journal does not reach back to the run's beginning, or lacks a price"


def document(
    made: Context, config: Path | None, overrides: tuple[str, ...], *, quick: bool, quiet: bool
) -> dict[str, Any]:
    """The report of the home's run. Raises NotReadyError where too little has run."""
    ask = _asked(made, config, overrides)
    loaded = ask.loaded()
    rows = _rows(made, loaded)
    _enter(made, loaded, rows)
    found, why = _baselines(over(ask, loaded, rows), quick=quick, quiet=quiet)
    data = replace(_data(made, loaded, rows), baselines=found)
    absent = dict(data.absent) | ({"baselines": why} if why else {})
    return measured.judged(replace(data, absent=absent), made, loaded)


def _asked(made: Context, config: Path | None, overrides: tuple[str, ...]) -> Ask:
    """The configuration given, or that of the run."""
    if config is not None or overrides:
        return Ask(made, config, overrides)
    path, window = remembered.recall(made)
    if path is None:
        raise NotReadyError(f"{made.home}: no run is remembered whose configuration is known: run first, or --config")
    return Ask(made, path, tuple(window))


def _rows(made: Context, loaded: Loaded) -> Rows:
    from evenkeel.research.report import Rows

    journal = made.home / "state" / "journal.db"
    tables = {name: recent(journal, name, limit=EVERYTHING, columns=columns) for name, columns in READ.items()}
    rows = Rows(**tables, capital=float(loaded.config.venue.capital))
    marks = len(metrics.marks(*rows.curve)[0])
    if marks < 3:
        raise NotReadyError(f"{journal} has equity on {marks} midnights: a report needs three, run on")
    return rows


def _enter(made: Context, loaded: Loaded, rows: Rows) -> None:
    """The run is a try like any other; a back-test of the same configuration and window is the same one."""
    curve = rows.curve
    end = loaded.config.clock.end if loaded.config.clock.kind == "virtual" else None
    enter(made.home, loaded, _brain(made, loaded), curve, data_end=end or int(curve[0][-1]))


def _data(made: Context, loaded: Loaded, rows: Rows) -> ReportData:
    """What the journal knows."""
    from evenkeel import wiring
    from evenkeel.research.report import ReportData

    tiers = measured.tiers_of(wiring.universe(loaded.config, made.home))
    costs, contributions = rows.costs(), rows.contributions(tiers)
    gaps = {} if costs else dict.fromkeys(("costs", "contributions"), GAPS)
    return ReportData(
        title=f"{measured.title_of(loaded)}, from the journal",
        command=command_line(),
        config_digest=loaded.digest,
        created=int(time.time()),
        name=variants.NAMES[loaded.config.strategy],
        strategy=rows.curve,
        in_sample=_in_sample(made, loaded, rows),
        costs=costs,
        traded=rows.traded(),
        contributions=contributions,
        regimes=rows.regimes,
        absent=dict.fromkeys(("ablation", "doubled"), LIVED) | {"forecasts": UNSEEN} | gaps,
        notes={"costs": ["Up to the last full decision in the journal."]} if costs else {},
        facts=measured.facts(made, loaded, ()),
    )


def _brain(made: Context, loaded: Loaded) -> Brain:
    from evenkeel import wiring
    from evenkeel.types import Brain

    try:
        return wiring.brain_of(loaded.config, made.home)
    except EvenkeelError:
        return Brain()


def _in_sample(made: Context, loaded: Loaded, rows: Rows) -> bool:
    """Whether alpha was let judge bars that it was trained on; where its model is gone, whether it may have."""
    if not loaded.config.opinions.alpha_in_sample or "alpha" not in rows.spoke:
        return False
    models = _brain(made, loaded).alpha
    return not models or int(rows.curve[0][0]) < models[0].valid_from(loaded.config.feed.bar)


def over(ask: Ask, loaded: Loaded, rows: Rows) -> Ask:
    """The same configuration as a back-test over the days of the run, whatever clock it had."""
    if loaded.config.clock.kind == "virtual":
        return ask
    times, feed = rows.curve[0], loaded.config.feed
    first, last = int(times[0]) // DAY_S * DAY_S, -(-int(times[-1]) // DAY_S) * DAY_S
    window = ("clock.kind=virtual", f"clock.from={iso(first)}", f"clock.to={iso(last)}")
    source = ("feed.kind=archive", f"feed.source={feed.exchange}") if feed.kind == "ccxt" else ()
    return replace(ask, overrides=(*ask.overrides, *window, *source))


def _baselines(ask: Ask, *, quick: bool, quiet: bool) -> tuple[dict[str, Curve], str]:
    """Without the candles of those days there are none, and the sentence says why."""
    try:
        return measured.curves(ask.made, measured.baselines(ask, ask.loaded(), quick=quick), quiet=quiet), ""
    except EvenkeelError as error:
        return {}, str(error)
