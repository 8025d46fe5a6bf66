"""The one decision: `plan = decide(view, book, brain, rules, slot)`.

Back-test, dry run and live differ in who calls this, what they show it and who takes the orders, never in here. Pure:
the same inputs give the same plan, bit for bit; no clock, no randomness, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evenkeel.lean import lean, maker
from evenkeel.market import quality
from evenkeel.portfolio import allocate, orders, overlay
from evenkeel.portfolio.allocate import AllocateSettings
from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.marks import (
    Marks,
    among,
    cooling_down,
    equity_marks,
    is_fresh,
    is_touched,
    position_marks,
    raised_highs,
    stop_distances,
)
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import Facts, OverlaySettings
from evenkeel.signals import blend, opinions, policy, regime
from evenkeel.signals.blend import OpinionSettings
from evenkeel.signals.regime import RegimeSettings
from evenkeel.types import (
    Array,
    Book,
    Brain,
    Carry,
    Dropped,
    IntArray,
    Memory,
    Opinion,
    Order,
    Pair,
    Plan,
    Reason,
    Regime,
    Slot,
    SlotKind,
    TradingState,
    View,
    places,
)
from evenkeel.units import DAY_S, HOUR_S

NAN = float("nan")
_plan_of, _carry_of, _facts_of, _wanted_of = maker(Plan), maker(Carry), maker(Facts), maker(orders.Wanted)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything configured that a decision depends on. `pairs` stand in the order of the view's assets.

    slot  (N,) weight of a full slot of the policy: the cap, and where it trades alone no more than an equal share
    """

    pairs: tuple[Pair, ...]
    benchmark: str
    allocate: AllocateSettings
    overlay: OverlaySettings
    orders: OrderSettings
    costs: CostSettings
    regime: RegimeSettings
    opinions: OpinionSettings
    quality: quality.QualitySettings

    tier: IntArray = field(init=False, repr=False, compare=False)
    slot: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tier = np.array([pair.tier for pair in self.pairs], dtype=np.int64)
        full, share = self.allocate.caps.of(tier), (1.0 - self.allocate.cash_buffer) / max(1, len(tier))
        slot = np.minimum(full, share) if self.allocate.method == "direct" else full
        for name, array in (("tier", tier), ("slot", slot)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def tiers(self) -> IntArray:
        """Tier of each asset, (N,)."""
        return self.tier


@lean
@dataclass(frozen=True, slots=True)
class Answer:
    """Weights (N,) allocated, without opinions, after the overlay; why; and the orders that lead there."""

    raw: Array
    base: Array
    target: Array
    reasons: tuple[Reason, ...]
    exits: Mapping[str, str]
    sent: tuple[Order, ...] = ()
    dropped: tuple[Dropped, ...] = ()


def unavailable(view: View, rules: Rules) -> str:
    """Why a trading slot must fail closed: universe or benchmark unavailable; `` if neither."""
    benchmark = view.assets.index(rules.benchmark) if rules.benchmark in view.assets else -1
    return quality.universe_ok(view.fault, benchmark, rules.quality)


def decide(view: View, book: Book, brain: Brain, rules: Rules, slot: Slot) -> Plan:
    """Everything decided in one slot. Raises ValueError only for what would be a bug (no price for a holding)."""
    equity, held = book.valued(view.assets, view.price)
    marks = equity_marks(book.memory, rules.overlay, slot, equity)
    proposal = _propose(view, book, brain, rules, slot, equity, held, marks.scale)
    said = (*view.opinions, proposal.opinion)
    expected, score = blend.joined(view.expected, view.score, proposal.opinion, view.vol, view.regime, rules.opinions)
    lost = _lost(view, book.memory, said, slot)
    label = _label(view, book, rules, slot)
    if _calm(view, book.memory, rules, slot, marks):
        answer = Answer(held, held, held, (), {})
    else:
        facts = _facts(view, book, rules, slot, equity, held, marks, lost=lost)
        answer = _answer(view, book, rules, slot, facts, label.label, expected, score, proposal.wanted)
    return _plan_of(
        slot=slot,
        as_of=view.as_of,
        assets=view.assets,
        price=view.price,
        equity=equity,
        drawdown=marks.drawdown,
        held=held,
        raw=answer.raw,
        base=answer.base,
        target=answer.target,
        expected=expected,
        score=score,
        opinions=said,
        reasons=answer.reasons,
        orders=answer.sent,
        dropped=answer.dropped,
        carry=_carry(view, book.memory, rules.overlay, slot, marks, label, answer, lost=lost),
    )


def _calm(view: View, memory: Memory, rules: Rules, slot: Slot, marks: Marks) -> bool:
    """Whether nothing can come of a risk slot: no exit is touched, no scale falls, nobody asked for anything.

    What is held is then what is wanted, every rule leaves it alone, and no leg is long enough to be named. The law:
    the plan is, bit for bit, the one that all rules together would have given.
    """
    if slot.kind is not SlotKind.RISK or memory.flatten or marks.daily_new or rules.orders.min_order_usd <= 0:
        return False
    if marks.scale < memory.drawdown_scale:
        return False
    return not (is_fresh(view, memory) and is_touched(view, memory, rules.overlay))


def proposed(view: View, book: Book, brain: Brain, rules: Rules, slot: Slot) -> policy.Proposal:
    """What the policy says in a slot, before anything is made of it: what `decide` begins with."""
    equity, held = book.valued(view.assets, view.price)
    scale = equity_marks(book.memory, rules.overlay, slot, equity).scale
    return _propose(view, book, brain, rules, slot, equity, held, scale)


def _propose(
    view: View, book: Book, brain: Brain, rules: Rules, slot: Slot, equity: float, held: Array, scale: float
) -> policy.Proposal:
    """What the policy would do with each asset's slot, which the drawdown scale shrinks; a risk slot does not ask it.

    Its wishes are weights before the overlay, which is what multiplies them by that scale.
    """
    model, on = brain.policy, rules.opinions.policy
    if model is None or not on:
        opinion = opinions.absent(policy.KIND, len(held), wanted=on, why=brain.without.get(policy.KIND, ""))
        return policy.Proposal(opinion, view.wanted)
    if slot.kind is SlotKind.RISK:
        return policy.Proposal(policy.silent(model, view), view.wanted)
    full = rules.slot * scale
    basis, opened, _, _ = position_marks(view.assets, book.memory.positions, slot.time)
    cooling = cooling_down(view.assets, book.memory, slot)
    own = policy.Own(
        share=np.divide(held, full, out=np.zeros(len(held)), where=full > 0),
        price=view.price,
        basis=basis,
        day_vol=blend.day_vol(view.vol),
        age_s=(slot.time - opened).astype(np.float64),
        cooling=cooling,
        budget=full * equity,
    )
    return policy.propose(model, view, own, rules.slot, view.ready & (view.fault == 0) & ~cooling)


def _lost(view: View, memory: Memory, said: Sequence[Opinion], slot: Slot) -> bool:
    """Whether all configured opinions failed; a risk slot asks none and leaves it at what the last pass found."""
    if slot.kind is SlotKind.RISK:
        return memory.opinions_lost > 0
    return not view.heard and blend.lost(said)


def _answer(
    view: View,
    book: Book,
    rules: Rules,
    slot: Slot,
    facts: Facts,
    label: str,
    expected: Array,
    score: Array,
    wish: Array,
) -> Answer:
    """Allocation, overlay, orders. wish  (N,) weights that somebody wants, for `allocate.method: direct`."""
    if slot.kind is SlotKind.RISK:
        raw = base = facts.held
    else:
        raw, base = _allocate(view, facts, label, rules, score, wish)
    target, reasons = overlay.apply(raw, facts, rules.overlay, overlay.RULES[slot.kind])
    levels = overlay.stop_levels(facts, rules.overlay) if facts.touched and reasons else {}
    exits = _exits(view.assets, reasons, levels)
    kept = base * np.divide(target, raw, out=np.zeros(len(raw)), where=raw > 0)
    wanted = _wanted(view, book, facts, exits, levels, target=target, base=kept, expected=expected)
    sent, dropped = orders.plan(slot, wanted, rules.pairs, rules.orders, rules.costs)
    if book.memory.trading_state is TradingState.HALTED:
        dropped += tuple(_halted(order.asset, view.assets, target, facts.held) for order in sent)
        sent = ()
    return Answer(raw, base, target, reasons, exits, sent, dropped)


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


def _allocate(view: View, facts: Facts, label: str, rules: Rules, score: Array, wish: Array) -> tuple[Array, Array]:
    """Raw weights, and the base: those of the same hold set without opinions."""
    holds = facts.held > 0
    eligible = (view.ready | holds) & (view.fault == 0) & ~facts.cooling
    frozen = facts.frozen | (holds & ~facts.cooling & ~np.isfinite(view.vol))
    if rules.allocate.method == "direct":
        applied = max(facts.drawdown_scale, facts.drawdown_applied) or 1.0
        kept = facts.held / applied  # before the overlay, which scales it again
        given = (kept, frozen, label, rules.allocate)
        raw = allocate.direct_weights(wish, facts.tier, eligible, *given)
        return raw, allocate.direct_weights(wish, facts.tier, eligible & (raw > 0), *given)
    on = allocate.ground(view.vol, facts.tier, eligible, facts.held, frozen, label, rules.allocate)
    chosen = allocate.hold(on, score, view.liquidity, view.assets, rules.allocate)
    return allocate.spread(on, chosen, score, rules.allocate)


def _facts(
    view: View, book: Book, rules: Rules, slot: Slot, equity: float, held: Array, marks: Marks, *, lost: bool
) -> Facts:
    memory = book.memory
    touched = is_fresh(view, memory) and is_touched(view, memory, rules.overlay)
    marked = touched or slot.kind is SlotKind.REBALANCE
    basis, opened, high, stop = position_marks(view.assets, memory.positions if marked else {}, slot.time)
    return _facts_of(
        kind=slot.kind,
        time=slot.time,
        assets=view.assets,
        tier=rules.tier,
        held=held,
        price=view.price,
        low=view.low,
        vol=view.vol,
        liquidity=view.liquidity,
        moves=view.moves,
        variance=view.variance,
        equity=equity,
        basis=basis,
        opened=opened,
        high=high,
        stop=stop,
        cooling=cooling_down(view.assets, memory, slot),
        frozen=(held > 0) & (view.fault != 0) | among(view.assets, memory.quarantined),
        drawdown_scale=marks.scale,
        drawdown_applied=memory.drawdown_scale,
        daily_hit=marks.daily_hit,
        daily_new=marks.daily_new,
        no_purchases=(lost and slot.time - (memory.opinions_lost or slot.time) < DAY_S)
        or slot.time - memory.cold < rules.overlay.cold_start_h * HOUR_S,
        state=memory.trading_state,
        flatten=memory.flatten,
        touched=touched,
    )


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
    index, stuck = places(view.assets), facts.frozen.nonzero()[0].tolist()
    busy = dict.fromkeys(book.memory.busy(), "PAIR_BUSY")
    frozen = {view.assets[i]: "PAIR_FROZEN" for i in stuck}
    return _wanted_of(
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
        cash=book.holdings.cash - book.holdings.locked,
        units=book.holdings.units,
        locked=book.holdings.locked_units,
    )


def _carry(
    view: View,
    memory: Memory,
    settings: OverlaySettings,
    slot: Slot,
    marks: Marks,
    label: Regime,
    answer: Answer,
    *,
    lost: bool,
) -> Carry:
    left = [order.asset for order in answer.sent if order.asset in answer.exits]
    cooling = memory.cooldowns
    if cooling or left:
        until = slot.time + round(settings.cooldown_h * 3600)
        cooling = {a: t for a, t in cooling.items() if t > slot.time} | dict.fromkeys(left, until)
    return _carry_of(
        origin=view.origin,
        evidence=max(memory.evidence, view.seen),
        scored=memory.scored if slot.kind is SlotKind.RISK else view.as_of,
        regime=label,
        days=marks.days,
        drawdown_scale=marks.scale,
        loss_day=slot.time - slot.time % DAY_S if marks.daily_hit else memory.loss_day,
        opinions_lost=(memory.opinions_lost or slot.time) if lost else 0,
        highs=raised_highs(view, memory),
        cooldowns=dict(sorted(cooling.items())),
        entry_atr=stop_distances(view, settings, {order.asset for order in answer.sent if order.quantity > 0}),
    )
