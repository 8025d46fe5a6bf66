"""Settings of a configuration as each room wants them, and the models in use."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evenkeel import artifacts
from evenkeel.config import Config, find, load_universe, shipped
from evenkeel.decide import Rules
from evenkeel.engine.slots import Cadence
from evenkeel.errors import ConfigError, NoEvidenceError
from evenkeel.market import features
from evenkeel.signals import alpha, edge, policy
from evenkeel.signals.view import SignalSettings
from evenkeel.types import Brain, Pair
from evenkeel.units import DAY_S, duration

BENCHMARK = "BTC"


def window(config: Config) -> tuple[int, int]:
    """First and last moment of the virtual clock. Raises ConfigError when there is none."""
    if config.clock.start is None or config.clock.end is None:
        raise ConfigError("clock.from and clock.to are not set: give both, such as --set clock.from=2025-07-01")
    return config.clock.start, config.clock.end


def origin_at(config: Config, time_s: int) -> int:
    """Where the history begins that a slot at `time_s` is computed from: declared, or a month's first moment."""
    if config.history.start is not None:
        return config.history.start
    past = datetime.fromtimestamp(time_s - config.history.days * DAY_S, UTC)
    return int(past.replace(day=1, hour=0, minute=0, second=0).timestamp())


def universe(config: Config, home: Path) -> tuple[Pair, ...]:
    """Pairs that may be held. Raises ConfigError where the benchmark is not among them."""
    pairs = load_universe(find(Path(config.universe.file), home), config.universe)
    if BENCHMARK not in {pair.asset for pair in pairs}:
        raise ConfigError(f"universe: {BENCHMARK} is not in it, and every signal needs it: add it to universe.only")
    return pairs


def rules_of(config: Config, pairs: tuple[Pair, ...]) -> Rules:
    """Everything configured that a decision depends on."""
    return Rules(
        pairs=pairs,
        benchmark=BENCHMARK,
        allocate=config.allocate,
        overlay=config.overlay,
        orders=config.orders,
        costs=config.costs,
        regime=config.regime,
        opinions=config.opinions,
        quality=config.quality,
    )


def brain_of(config: Config, home: Path) -> Brain:
    """The models in use, each verified; what cannot speak is left out with the reason.

    A model that was trained on all bars of a run over the past is not loaded for it. Raises ArtifactError for one that
    is damaged or was fitted on other features.
    """
    until = config.clock.end if config.clock.kind == "virtual" else None
    shown = {alpha.KIND: config.opinions.alpha_in_sample, policy.KIND: False}
    found = {
        room.KIND: _model(room, home, config.feed.bar, None if shown[room.KIND] else until)
        for room in (alpha, policy)
        if getattr(config.opinions, room.KIND)
    }
    fitted = {kind: model for kind, (model, _) in found.items() if model is not None}
    return Brain(
        alpha=(fitted[alpha.KIND],) if alpha.KIND in fitted else (),
        policy=fitted.get(policy.KIND),
        edge=_skill(home) if config.opinions.edge else None,
        without={kind: why for kind, (_, why) in found.items() if why},
    )


def _model(room: Any, home: Path, bar_s: int, until: int | None) -> tuple[Any, str]:
    """The model in use of a room, or None and why it cannot speak before `until` or on this bar."""
    path = artifacts.chosen(room.KIND, home / "models", shipped() / "models")
    if path is None:
        return None, ""
    if until is not None and room.begins(path, bar_s) > until:
        return None, f"{path.name} was trained on what is shown here, or later"
    try:
        return room.load(path, bar_s), ""
    except NoEvidenceError:
        return None, f"{path.name} has no evidence on {duration(bar_s)} bars"


def _skill(home: Path) -> edge.Skill | None:
    """What event contracts were found to be worth; None where nobody has measured it."""
    path = artifacts.chosen(edge.KIND, home / "models", shipped() / "models")
    return None if path is None else edge.load(path)


def cadence(config: Config) -> Cadence:
    """The slot grid."""
    schedule = config.schedule
    return Cadence(schedule.risk, schedule.score, schedule.rebalance, schedule.rebalance_late)


def signal_settings(config: Config) -> SignalSettings:
    """What signals are computed with."""
    return SignalSettings(config.opinions, config.regime, config.quality, BENCHMARK, config.strategy, config.seed)


def warm_up_days(config: Config) -> float:
    """History that every feature needs before it is complete, in days."""
    return features.warmup_bars(config.feed.bar) * config.feed.bar / DAY_S
