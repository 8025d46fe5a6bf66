"""Back-tests as the commands run them: a configuration in, what it left out, and a line in the ledger for each.

Every configuration that is tried counts, looked at or not: it is entered before it runs, and ends as finished or as
interrupted. The ledger is `data/trials.jsonl` of the home; what was tried before this program shipped counts, too.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenkeel import metrics
from evenkeel.cli.opening import settings
from evenkeel.cli.output import Context

if TYPE_CHECKING:
    from evenkeel.config import Config, Loaded
    from evenkeel.research.backtest import Result
    from evenkeel.research.report import Collector, Forecast
    from evenkeel.research.report.data import Curve
    from evenkeel.research.trials import Ledger, Trial
    from evenkeel.types import Brain, Fill, Panel, Plan, Slot
    from evenkeel.wiring import Engine


@dataclass(frozen=True, slots=True)
class Ask:
    """A configuration as it was asked for, from which others can be asked for that differ in a few keys."""

    made: Context
    path: Path | None
    overrides: tuple[str, ...]

    def loaded(self, *more: str) -> Loaded:
        """The configuration, with more `key=value` laid over it."""
        return settings(self.made, self.path, [*self.overrides, *more])


@dataclass(frozen=True, slots=True)
class Tried:
    """A back-test that ended: what it ran with, what it left, and what watched it."""

    loaded: Loaded
    engine: Engine
    result: Result
    fills: tuple[Fill, ...]
    seen: Collector
    forecasts: tuple[Forecast, ...]
    trial: Trial

    @property
    def curve(self) -> Curve:
        """Equity at each slot."""
        return curve_of(self.result)


def ledger_of(home: Path) -> Path:
    """Where the trials of a home are written down."""
    from evenkeel.research import trials

    return home / "data" / trials.FILE


def ledger(home: Path) -> Ledger:
    """Every trial of the home, and those that were shipped."""
    from evenkeel.config import shipped
    from evenkeel.research import trials

    return trials.read(shipped() / "models" / trials.FILE, ledger_of(home))


def slots_of(config: Config) -> list[Slot]:
    """All slots of the configured window, in their order."""
    from evenkeel import wiring
    from evenkeel.engine import slots

    return list(slots.between(*wiring.window(config), wiring.cadence(config)))


def tried(
    made: Context,
    loaded: Loaded,
    advance: Callable[[int], None],
    *,
    family: str = "",
    watched: bool = True,
    panel: Panel | None = None,
    brain: Brain | None = None,
) -> Tried:
    """Run one back-test and enter it in the ledger.

    family   whose try it is; `` = the strategy's · watched  gather what a report needs besides equity
    panel    bars to run over instead of the configured feed's · brain  models to use instead of those in use
    Raises what `wiring.build` raises, and StateError where the ledger cannot be written.
    """
    from evenkeel import wiring
    from evenkeel.engine.replay import Replay
    from evenkeel.research import backtest as research
    from evenkeel.research.report import Collector, Skill

    engine = wiring.build(loaded.config, made.home, loaded.digest, durable=False, panel=panel, brain=brain)
    broker, seen, skill = engine.open_broker(), Collector(), Skill()

    def on_plan(plan: Plan) -> None:
        if watched:
            seen.on_plan(plan)
            skill.on_plan(plan)

    end = wiring.window(loaded.config)[1]
    with _entered(made.home, _trial(loaded, engine.brain, family or loaded.config.strategy, end)) as finish:
        result = research.backtest(
            _counted(slots_of(loaded.config), advance), engine.feed, broker, engine.memory(loaded.digest),
            engine.brain, engine.rules, on_plan=on_plan,
        )  # fmt: skip
        trial = finish(curve_of(result))
    forecasts = skill.forecasts(engine.feed) if isinstance(engine.feed, Replay) else ()
    return Tried(loaded, engine, result, broker.fills(0), seen, forecasts, trial)


def curve_of(result: Result) -> Curve:
    """Times (T,) UTC s and equity (T,) USD."""
    return (
        np.array([moment for moment, _ in result.equity], dtype=np.int64),
        np.array([usd for _, usd in result.equity], dtype=np.float64),
    )


def enter(home: Path, loaded: Loaded, brain: Brain, curve: Curve, data_end: int) -> None:
    """A run that has ended, into the ledger: it is the same try as its back-test."""
    from evenkeel.research import trials

    trial = _trial(loaded, brain, loaded.config.strategy, data_end)
    trials.enter_first_look(ledger_of(home))
    trials.finish(ledger_of(home), trial, *metrics.daily_returns(*curve))


def command_line() -> str:
    """What was typed."""
    return shlex.join(["evenkeel", *sys.argv[1:]])


def _trial(loaded: Loaded, brain: Brain, family: str, data_end: int) -> Trial:
    from evenkeel.research import trials

    models = [*brain.alpha, *([brain.policy] if brain.policy is not None else [])]
    digest = _digest(loaded.digest, [model.digest for model in models])
    return trials.Trial(
        id=trials.trial_id(family, digest, data_end), family=family, config_digest=digest, data_end=data_end,
        command=command_line(), created=int(time.time()),
    )  # fmt: skip


def _digest(config: str, models: Sequence[str]) -> str:
    """Of everything that was tried: the same configuration with another model is another try."""
    return hashlib.sha256("\n".join([config, *models]).encode()).hexdigest() if models else config


@contextmanager
def _entered(home: Path, trial: Trial) -> Iterator[Callable[[Curve], Trial]]:
    """A trial in the ledger from before it begins: finished by its curve, or interrupted by whatever ends the block."""
    from evenkeel.research import trials

    path, ended = ledger_of(home), [False]
    trials.enter_first_look(path)
    trials.begin(path, trial)

    def finish(curve: Curve) -> Trial:
        ended[0] = True
        return trials.finish(path, trial, *metrics.daily_returns(*curve))

    try:
        yield finish
    finally:
        if not ended[0]:
            trials.interrupt(path, trial, type(sys.exception()).__name__)


def _counted(todo: Sequence[Slot], advance: Callable[[int], None]) -> Iterator[Slot]:
    for slot in todo:
        yield slot
        advance(1)


def with_digest(loaded: Loaded, config: Config) -> Loaded:
    """Another configuration in the place of the loaded one."""
    from evenkeel.config import digest

    return replace(loaded, config=config, digest=digest(config))
