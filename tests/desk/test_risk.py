"""When the desk stops, and what hangs on one thing: every refusal has its code, and a person ends a halt."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from desk.world import EAGER
from evenkeel.desk.decide import Decision, decide, mark_of
from evenkeel.desk.ledger import Ledger, Stake, opened
from evenkeel.desk.risk import RiskSettings, judged, marked, resumed
from evenkeel.events.bets import Judgement
from evenkeel.events.evidence import Voices, voices
from evenkeel.events.fair import Fair
from evenkeel.events.fitted import Known, Part
from evenkeel.events.stake import Skill
from evenkeel.types import Board, Identity, Slot, SlotKind, TradingState
from events.laddered import NOW, made

D = Decimal
DAY = NOW // 86_400 * 86_400
BEGUN = opened(Ledger(Identity("kalshi-paper", "test", "real", ""), 0), D(100))
RULES = RiskSettings(daily_loss=0.05, drawdown=0.20)
SLOT = Slot(SlotKind.SCORE, NOW)


def seen(ledger: Ledger, equity: float, time: int) -> Ledger:
    """The ledger after a turn that found this equity."""
    return judged(marked(ledger, equity, time), equity, RULES)


class Says:
    """A model that says what it is told."""

    name = "told"

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, board, spots):
        """The same of everything."""
        return Fair(np.full(len(board.contracts), self.p), np.full(len(board.contracts), 0.0))


def speaking(p: float = 0.60, k: float = 1.0) -> Voices:
    skill = {name: Skill(1_000, k, 0.0) for name in ("KXBTCD", "KXETHD")}
    return voices(Known("v", "", (Part("lognormal", Says(p), skill, {}, None, 2**33),)), tuple(skill), NOW)


def decided(*rows, ledger=BEGUN, limits=EAGER, speaks=None, critic=None) -> Decision:
    return decide(SLOT, ledger, Board(NOW, rows), {}, speaks or speaking(), limits, critic)


def rung(n: int, asset: str = "BTC", **more):
    """A threshold of an event of its own."""
    name = f"KX{asset}D-{n}"
    return made(floor=60_000.0 + n, ticker=f"{name}-T{n}", event=name, asset=asset, **more)


def test_a_days_loss_stops_purchases_until_the_next_day():
    first = seen(BEGUN, 100.0, DAY)
    lost = seen(first, 94.9, DAY + 600)
    back = seen(lost, 99.0, DAY + 1_200)
    next_day = seen(back, 94.0, DAY + 86_400)

    assert (lost.trading_state, lost.state_reason) == (TradingState.REDUCING, "DAILY_LOSS")
    assert back.trading_state is TradingState.REDUCING
    assert (next_day.trading_state, next_day.state_reason) == (TradingState.ACTIVE, "")
    assert decided(rung(1), ledger=lost).counts == {"DAILY_LOSS": 1}


def test_a_drawdown_halts_until_a_person_resumes():
    ledger = BEGUN
    for day, equity in enumerate((100.0, 120.0, 115.0, 110.0, 105.0, 100.0, 95.5)):
        ledger = seen(ledger, equity, DAY + day * 86_400)
    fell = seen(ledger, 95.5, DAY + 7 * 86_400)

    assert (fell.trading_state, fell.state_reason) == (TradingState.HALTED, "DRAWDOWN")
    assert seen(fell, 130.0, DAY + 8 * 86_400).trading_state is TradingState.HALTED
    again = seen(resumed(fell), 95.5, DAY + 9 * 86_400)
    assert again.trading_state is TradingState.ACTIVE


def test_a_withdrawal_is_no_loss():
    first = seen(BEGUN, 100.0, DAY)
    less = replace(first, cash=D(40), flows=D(-60))

    assert seen(less, 40.0, DAY + 600).trading_state is TradingState.ACTIVE


def test_a_deposit_that_leaves_again_is_no_drawdown():
    rich = seen(replace(seen(BEGUN, 100.0, DAY), cash=D(160), flows=D(60)), 160.0, DAY + 600)
    poor = replace(rich, cash=D(100), flows=D(0))

    assert seen(poor, 100.0, DAY + 1_200).trading_state is TradingState.ACTIVE


def test_a_position_is_marked_at_what_its_own_side_is_bid():
    contract = rung(1)

    assert mark_of(contract, D(3)) == D("0.40")
    assert mark_of(contract, D(-3)) == 1 - D("0.44")
    assert mark_of(rung(1, ask=None), D(-3)) is None


def test_what_cannot_be_valued_buys_nothing():
    stake = Stake("KXBTCD-9-T9", "KXBTCD-9", "KXBTCD", "BTC", "crypto", "c", NOW + 60, count=D(2), cost=D(1))

    assert decided(rung(1), ledger=replace(BEGUN, held={stake.ticker: stake})).counts == {"UNPRICED": 1}


def test_one_underlying_and_the_number_of_markets_are_bounded():
    rows = [rung(n) for n in range(1, 5)] + [rung(9, "ETH")]
    free = decided(*rows, limits=replace(EAGER, risk=RiskSettings(asset=1.0)))
    one_each = decided(*rows, limits=replace(EAGER, risk=RiskSettings(asset=0.06)))
    few = decided(*rows, limits=replace(EAGER, risk=RiskSettings(asset=1.0, positions=2)))

    assert len(free.orders) == 5
    assert sorted(order.asset.partition("-")[0] for order in one_each.orders) == ["KXBTCD", "KXETHD"]
    assert set(one_each.refused.values()) == {"CONCENTRATED"}
    assert len(few.orders) == 2
    assert set(few.refused.values()) == {"TOO_MANY"}


def test_a_quarantined_market_is_left_alone():
    ledger = replace(BEGUN, quarantined={"KXBTCD-1-T1": "AMBIGUOUS"})

    assert decided(rung(1), ledger=ledger).refused == {"KXBTCD-1-T1": "QUARANTINED"}


def test_without_measured_skill_nothing_is_bought_and_the_code_says_so():
    assert decided(rung(1), speaks=voices(None, ("KXBTCD",), NOW)).counts == {"NO_FAIR": 1}
    unskilled = decided(rung(1), speaks=speaking(k=0.0))
    assert (unskilled.orders, unskilled.refused) == ((), {"KXBTCD-1-T1": "UNPROVEN"})


@pytest.mark.parametrize(
    ("factor", "part"), [(0.0, 0.0), (math.nan, 0.0), (-1.0, 0.0), (0.5, 0.5), (1.0, 1.0), (7.0, 1.0)]
)
def test_another_critic_may_shrink_and_veto_and_never_enlarge(factor, part):
    whole = decided(rung(1))
    heard = decided(rung(1), critic=lambda bet, board: Judgement(factor))

    count = sum(abs(order.quantity) for order in heard.orders)
    assert count == abs(whole.orders[0].quantity) * D(str(part)) // 1
    assert heard.refused == ({} if part else {"KXBTCD-1-T1": "VETOED"})


def test_orders_say_yes_contracts_and_yes_prices():
    """NO at 0.60 is YES sold at 0.40, under an id that derives from the turn."""
    (buy,), (sell,) = decided(rung(1)).orders, decided(rung(1), speaks=speaking(p=0.2)).orders

    assert buy.quantity > 0 > sell.quantity
    assert decided(rung(1)).limits[buy.id] == D("0.44")
    assert decided(rung(1), speaks=speaking(p=0.2)).limits[sell.id] == D("0.40")
    assert buy.id == decided(rung(1)).orders[0].id == f"k{NOW:x}-0-KXBTCD-1-T1"


def test_an_empty_board_is_no_trouble():
    assert decided() == Decision()
