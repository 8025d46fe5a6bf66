"""The one decision: `plan = decide(view, book, brain, rules, slot)`.

Back-test, dry run and live differ in who calls this, what they show it and who takes the orders, never in here. Pure:
the same inputs give the same plan, bit for bit; no clock, no randomness, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenkeel.market import quality
from evenkeel.portfolio import allocate, orders, overlay
from evenkeel.portfolio import book as accounts
from evenkeel.portfolio.allocate import AllocateSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import Facts, OverlaySettings
from evenkeel.signals import blend, opinions, regime
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.regime import RegimeSettings
from evenkeel.types import (
    Array,
    Book,
    BoolArray,
    Brain,
    Carry,
    Dropped,
    IntArray,
    Opinion,
    Order,
    Pair,
    Plan,
    Position,
    Reason,
    Regime,
    Slot,
    SlotKind,
    TradingState,
    View,
)
from evenkeel.units import DAY_S

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything configured that a decision depends on. `pairs` stand in the order of the view's assets."""

    pairs: tuple[Pair, ...]
    benchmark: str
    allocate: AllocateSettings
    overlay: OverlaySettings
    orders: OrderSettings
    costs: CostSettings
    regime: RegimeSettings
    opinions: OpinionSettings
    quality: quality.QualitySettings

    def tiers(self) -> IntArray:
        """Tier of each asset, (N,)."""
        return np.array([pair.tier for pair in self.pairs], dtype=np.int64)


def unavailable(view: View, rules: Rules) -> str:
    """Why a trading slot must fail closed: universe or benchmark unavailable; `` if neither."""
    benchmark = view.assets.index(rules.benchmark) if rules.benchmark in view.assets else -1
    return quality.universe_ok(view.fault, benchmark, rules.quality)


def decide(view: View, book: Book, brain: Brain, rules: Rules, slot: Slot) -> Plan:
    """Everything decided in one slot. Raises ValueError only for what would be a bug (no price for a holding)."""
    equity = book.equity(view.assets, view.price)
    held = book.weights(view.assets, view.price)
    said = (*view.opinions, opinions.policy(brain, view, wanted=rules.opinions.policy))
    label = _label(view, book, rules, slot)
    facts = _facts(view, book, rules, slot, equity, held, said)
    expected, score = blend.blend(said, view.vol, view.regime, rules.opinions)
    if slot.kind is SlotKind.RISK:
        raw = base = held
    else:
        raw = _allocate(score, view, facts, label.label, rules)
        base = _allocate(np.zeros_like(score), view, facts, label.label, rules, prefer=raw > 0)
    target, reasons = overlay.apply(raw, facts, rules.overlay, overlay.RULES[slot.kind])
    levels = overlay.stop_levels(facts, rules.overlay)
    exits = _exits(view.assets, reasons, levels)
    kept = np.where(raw > 0, target / np.where(raw > 0, raw, 1.0), 0.0)
    wanted = _wanted(view, book, facts, exits, levels, target=target, base=base * kept, expected=expected)
    sent, dropped = orders.plan(slot, wanted, rules.pairs, rules.orders, rules.costs)
    if book.memory.trading_state is TradingState.HALTED:
        dropped += tuple(_halted(order.asset, view.assets, target, held) for order in sent)
        sent = ()
    return Plan(
        slot=slot,
        as_of=view.as_of,
        assets=view.assets,
        price=view.price,
        equity=equity,
        drawdown=_drawdown(book, slot, equity),
        held=held,
        raw=raw,
        base=base,
        target=target,
        expected=expected,
        score=score,
        opinions=said,
        reasons=reasons,
        orders=sent,
        dropped=dropped,
        carry=_carry(view, book, rules, slot, facts, label, exits, sent, lost=blend.lost(said)),
    )


def _halted(asset: str, assets: tuple[str, ...], target: Array, held: Array) -> Dropped:
    i = assets.index(asset)
    return Dropped(asset, "TRADING_STATE_HALTED", float(target[i]), float(held[i]))


def _exits(assets: tuple[str, ...], reasons: Sequence[Reason], levels: Mapping[str, Array]) -> dict[str, str]:
    """Which exit each asset leaves by: of several, the highest level, which a falling price meets first."""
    chosen: dict[str, tuple[float, str]] = {}
    for reason in reasons:
        if reason.rule in overlay.EXIT_CODES:
            level = float(levels[reason.rule][assets.index(reason.asset)]) if reason.rule in levels else 0.0
            if reason.asset not in chosen or level > chosen[reason.asset][0]:
                chosen[reason.asset] = (level, reason.rule)
    return {asset: rule for asset, (_, rule) in chosen.items()}


def _label(view: View, book: Book, rules: Rules, slot: Slot) -> Regime:
    if slot.kind is SlotKind.RISK:
        return book.memory.regime
    return regime.step(book.memory.regime, view.regime, slot.time, rules.regime)


def _allocate(
    score: Array, view: View, facts: Facts, label: str, rules: Rules, prefer: BoolArray | None = None
) -> Array:
    """Raw weights; with `prefer`, over exactly that hold set (the base of the same assets, without opinions)."""
    holds = facts.held > 0
    eligible = (view.ready | holds) & (view.fault == 0) & ~facts.cooling
    eligible = eligible if prefer is None else eligible & prefer
    frozen = facts.frozen | (holds & ~facts.cooling & ~np.isfinite(view.vol))
    if rules.allocate.method == "direct":
        return allocate.direct_weights(view.wanted, facts.tier, eligible, facts.held, frozen, label, rules.allocate)
    return allocate.raw_weights(
        score,
        view.vol,
        view.liquidity,
        view.assets,
        facts.tier,
        eligible,
        facts.held,
        frozen,
        label,
        rules.allocate,
    )


def _facts(
    view: View, book: Book, rules: Rules, slot: Slot, equity: float, held: Array, said: Sequence[Opinion]
) -> Facts:
    memory = book.memory
    positions = [memory.positions.get(asset) for asset in view.assets]
    day = slot.time - slot.time % DAY_S
    opened = memory.days[-1].open if memory.days and memory.days[-1].day == day else equity
    hit = memory.loss_day == day or equity <= opened * (1.0 - rules.overlay.daily_loss)
    fresh = view.seen > memory.evidence
    return Facts(
        kind=slot.kind,
        time=slot.time,
        assets=view.assets,
        tier=rules.tiers(),
        held=held,
        price=view.price,
        low=view.low if fresh else np.full(len(held), NAN),
        vol=view.vol,
        liquidity=view.liquidity,
        logs=view.logs,
        equity=equity,
        basis=np.array([float(p.basis) if p and p.basis is not None else NAN for p in positions]),
        opened=np.array([p.opened if p else slot.time for p in positions], dtype=np.int64),
        high=np.array([p.high if p else NAN for p in positions]),
        stop=np.array([p.stop if p else NAN for p in positions]),
        cooling=np.array([memory.cooldowns.get(a, 0) > slot.time for a in view.assets], dtype=bool),
        frozen=(held > 0) & (view.fault != 0) | np.array([a in memory.quarantined for a in view.assets], dtype=bool),
        drawdown_scale=_scale(
            memory.drawdown_scale,
            _drawdown(book, slot, equity),
            rules.overlay,
            may_rise=slot.kind is not SlotKind.RISK,
        ),
        drawdown_applied=memory.drawdown_scale,
        daily_hit=hit,
        daily_new=hit and memory.loss_day != day,
        no_purchases=blend.lost(said) and slot.time - (memory.opinions_lost or slot.time) < DAY_S,
        state=memory.trading_state,
        flatten=memory.flatten,
    )


def _drawdown(book: Book, slot: Slot, equity: float) -> float:
    """Fall from the highest equity of the last 90 days, share in [0, 1)."""
    days = accounts.mark_days(book.memory.days, slot.time, equity)
    return max(0.0, 1.0 - equity / accounts.peak(days))


def _scale(applied: float, fall: float, settings: OverlaySettings, *, may_rise: bool) -> float:
    """Drawdown scale in steps: down at once, up only when the raw scale clears the step above by the slack.

    may_rise  False where nothing is bought: a step undone there would be applied twice when the fall resumes
    """
    span = settings.drawdown_full - settings.drawdown_start
    raw = 1.0 - (fall - settings.drawdown_start) / span
    down = _step_below(raw, settings)
    if down <= applied:
        return down
    if not may_rise:
        return applied
    return 1.0 if fall == 0.0 else max(applied, _step_below(raw - settings.drawdown_slack, settings))


def _step_below(raw: float, settings: OverlaySettings) -> float:
    steps = float(np.floor(raw / settings.drawdown_step + 1e-9)) * settings.drawdown_step
    return min(1.0, max(settings.drawdown_floor, steps))


def _wanted(
    view: View,
    book: Book,
    facts: Facts,
    exits: Mapping[str, str],
    levels: Mapping[str, Array],
    *,
    target: Array,
    base: Array,
    expected: Array,
) -> orders.Wanted:
    index = {asset: i for i, asset in enumerate(view.assets)}
    busy = {intent.order.asset: "PAIR_BUSY" for step in book.memory.open_slots for intent in step.intents}
    frozen = {asset: "PAIR_FROZEN" for asset, is_frozen in zip(view.assets, facts.frozen, strict=True) if is_frozen}
    return orders.Wanted(
        assets=view.assets,
        target=target,
        held=facts.held,
        base=base,
        expected=expected,
        price=view.price,
        liquidity=view.liquidity,
        tier=facts.tier,
        blocked={**frozen, **busy},
        exit_codes=exits,
        stops={a: float(levels[rule][index[a]]) for a, rule in exits.items() if rule in levels},
        equity=facts.equity,
        cash=book.holdings.cash,
        units=book.holdings.units,
    )


def _carry(
    view: View,
    book: Book,
    rules: Rules,
    slot: Slot,
    facts: Facts,
    label: Regime,
    exits: Mapping[str, str],
    sent: Sequence[Order],
    *,
    lost: bool,
) -> Carry:
    memory = book.memory
    until = slot.time + round(rules.overlay.cooldown_h * 3600)
    left = [order.asset for order in sent if order.asset in exits]
    cooling = {a: t for a, t in memory.cooldowns.items() if t > slot.time} | dict.fromkeys(left, until)
    return Carry(
        origin=view.origin,
        evidence=max(memory.evidence, view.seen),
        scored=memory.scored if slot.kind is SlotKind.RISK else view.as_of,
        regime=label,
        days=accounts.mark_days(memory.days, slot.time, facts.equity),
        drawdown_scale=facts.drawdown_scale,
        loss_day=slot.time - slot.time % DAY_S if facts.daily_hit else memory.loss_day,
        opinions_lost=(memory.opinions_lost or slot.time) if lost else 0,
        highs=_highs(memory.positions, view, facts),
        cooldowns=dict(sorted(cooling.items())),
        entry_atr=_entry_atr(view, rules.overlay, sent),
    )


def _highs(positions: Mapping[str, Position], view: View, facts: Facts) -> dict[str, float]:
    """Highest price of each position after this evidence: raised only now, after the triggers were tested."""
    if not np.isfinite(facts.low).any():
        return {}
    raised = {}
    for i, asset in enumerate(view.assets):
        position = positions.get(asset)
        if position is not None and np.isfinite(view.high[i]) and not view.high[i] <= position.high:
            raised[asset] = float(view.high[i])
    return raised


def _entry_atr(view: View, settings: OverlaySettings, sent: Sequence[Order]) -> dict[str, float]:
    """Distance of the entry stop in USD for every asset that is bought; an unknown ATR sets none, nor do exits off."""
    if not settings.exits:
        return {}
    distance = settings.atr_multiple * view.atr * view.price
    bought = {order.asset for order in sent if order.quantity > 0}
    return {a: float(d) for a, d in zip(view.assets, distance, strict=True) if a in bought and np.isfinite(d)}
