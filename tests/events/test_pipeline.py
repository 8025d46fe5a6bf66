"""From a board to proposals: every step's reasons, one bet for each event, caps that nothing exceeds."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.events.board import Flaw
from evenkeel.events.fair import Fair, Lognormal, Spot, inside, sd
from evenkeel.events.fees import TAKER, fee
from evenkeel.events.pipeline import (
    Exposure,
    ScreenSettings,
    StakeSettings,
    Why,
    category_of,
    cluster_of,
    judged,
    scan,
    screen,
)
from evenkeel.events.stake import UNPROVEN, Skill
from evenkeel.events.volatility import Volatility
from evenkeel.units import YEAR_S
from events.laddered import NOW, board, made, partitioned, quoted

ROOT = Path(__file__).resolve().parents[2]
VOL = 0.5 / math.sqrt(YEAR_S)
SKILLED = Skill(1000, 1.0, 0.0)
RICH = Exposure(100_000.0, 100_000.0)
WIDE = ScreenSettings(series=("KXBTCD", "KXNBAGAME"))
STAKES = StakeSettings(max_edge=0.5)


class Says:
    """A model that says what it is told."""

    name = "told"

    def __init__(self, *p, error=0.0):
        self.fair = Fair(np.array(p, dtype=float), np.full(len(p), error))

    def __call__(self, board, spots):
        """The same whatever is asked."""
        return self.fair


def passed(rows, p, *, skill=SKILLED, exposure=RICH, screened=WIDE, stakes=STAKES):
    return scan(board(*rows), Says(*p), {}, skill, exposure, screened, stakes)


def test_a_good_offer_is_proposed_with_its_exact_cost():
    """Worth 0.55, asked at 0.44: bought at the ask, fee exact, a tenth of Kelly or the cap of a market."""
    done = passed([made(floor=60000.0, ask_size=Decimal(10_000))], [0.55])

    (leg,) = done.proposals
    assert done.why.tolist() == [Why.GOOD]
    assert (leg.side, leg.price, leg.book_side, leg.yes_price) == ("yes", Decimal("0.44"), "bid", Decimal("0.44"))
    assert leg.fee == fee(leg.count, leg.price, TAKER)
    assert leg.count == 1000
    assert leg.edge == pytest.approx(0.55 - float(leg.cost / leg.count))
    assert leg.cost <= Decimal(str(0.1 * 100_000 * leg.edge / (1 - float(leg.cost / leg.count))))


def test_buying_no_at_q_is_an_ask_at_one_less_q():
    """The bid of YES is where NO is bought: NO costs 1 - 0.40, and the wire sells YES at 0.40."""
    (leg,) = passed([made(floor=60000.0)], [0.25]).proposals

    assert (leg.side, leg.price, leg.book_side, leg.yes_price) == ("no", Decimal("0.60"), "ask", Decimal("0.40"))
    assert (leg.p, leg.fair, leg.market) == pytest.approx((0.75, 0.75, 0.58))


@given(st.integers(2, 96), st.integers(1, 20), st.floats(0.01, 0.99), st.floats(0, 0.1))
def test_yes_and_no_are_one_market_seen_from_two_sides(bid, spread, p, error):
    """The mirrored contract, with the mirrored probability, gives the mirrored proposal."""
    ask = min(bid + spread, 99)
    low, high = Decimal(bid) / 100, Decimal(ask) / 100
    wide = replace(WIDE, price_low=0.0, price_high=1.0, spread=1.0)
    told = (Says(x, error=error) for x in (p, 1 - p))

    one, other = (
        scan(board(made(floor=1.0, bid=b, ask=a)), model, {}, SKILLED, RICH, wide, STAKES).proposals
        for (b, a), model in zip([(low, high), (1 - high, 1 - low)], told, strict=True)
    )

    mirror = {"yes": "no", "no": "yes", "bid": "ask", "ask": "bid"}
    assert [(x.side, x.book_side, x.yes_price) for x in one] == [
        (mirror[x.side], mirror[x.book_side], 1 - x.yes_price) for x in other
    ]
    assert [(x.price, x.count, x.fee) for x in one] == [(x.price, x.count, x.fee) for x in other]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, Why.GOOD),
        ({"status": "closed"}, Why.NOT_ACTIVE),
        ({"status": ""}, Why.NOT_ACTIVE),
        ({"ticker": "KXETHD-X-1"}, Why.SERIES_OFF),
        ({"fee_type": ""}, Why.TERMS_UNKNOWN),
        ({"ticks": ()}, Why.TERMS_UNKNOWN),
        ({"seen": NOW - 61}, Why.STALE_QUOTE),
        ({"expiry": NOW + 89}, Why.TOO_CLOSE),
        ({"expiry": NOW - 5}, Why.TOO_CLOSE),
        ({"expiry": NOW + 86_401}, Why.TOO_FAR),
        ({"bid": "0.50"}, Why.LADDER_BROKEN),
        ({"bid": "0.405"}, Why.LADDER_BROKEN),
        ({"bid": None}, Why.NOT_TWO_SIDED),
        ({"bid": None, "ask": None}, Why.NOT_TWO_SIDED),
        ({"ask": "0.51"}, Why.SPREAD_WIDE),
        ({"bid": "0.01", "ask": "0.04"}, Why.PRICE_BAND),
        ({"bid_size": Decimal(9), "ask_size": Decimal("9.99")}, Why.THIN),
    ],
)
def test_the_screen_names_what_stops_a_contract(changes, why):
    """One code for each; unknown terms, status or sides never pass."""
    assert screen(board(made(floor=60000.0, **changes)), WIDE).tolist() == [why]


@pytest.mark.parametrize(
    ("p", "changes", "why"),
    [
        (math.nan, {}, Why.NO_FAIR),
        (0.45, {}, Why.EDGE_SMALL),
        (0.55, {"skill": UNPROVEN}, Why.UNPROVEN),
        (0.55, {"skill": Skill(1000, 0.1, 0.0)}, Why.UNPROVEN),
        (0.55, {"exposure": Exposure(10.0, 10.0)}, Why.TOO_SMALL),
        (0.55, {"stakes": replace(STAKES, max_edge=0.05)}, Why.GAP_TOO_GOOD),
        (0.55, {"exposure": Exposure(0.0, 0.0)}, Why.TOO_SMALL),
        (0.55, {"stakes": replace(STAKES, side="no")}, Why.EDGE_SMALL),
        (0.55, {"exposure": replace(RICH, events={"KXBTCD-X": 1.0})}, Why.EVENT_HELD),
        (0.55, {"exposure": replace(RICH, cash=0.0)}, Why.CASH_SHORT),
        (0.55, {"exposure": replace(RICH, events={"other": 25_000.0})}, Why.EXPOSURE_FULL),
        (0.55, {"exposure": replace(RICH, categories={"crypto": 15_000.0})}, Why.CATEGORY_FULL),
        (0.55, {"exposure": replace(RICH, clusters={"its own": 6_000.0})}, Why.CLUSTER_FULL),
    ],
)
def test_later_steps_name_what_stops_a_contract(p, changes, why):
    """The model, the size, the critic's rules: nothing is proposed, and the reason is said."""
    one = made(floor=60000.0)

    done = passed([one], [p], **_placed(changes, one))

    assert done.proposals == ()
    assert done.why.tolist() == [why]


def _placed(changes, one):
    """The planted cluster under its own name."""
    exposure = changes.get("exposure")
    if exposure is None or not exposure.clusters:
        return changes
    return {**changes, "exposure": replace(exposure, clusters=dict.fromkeys([cluster_of(one)], 6_000.0))}


def test_one_event_is_one_bet():
    """Three thresholds that all pay: the one that grows fastest is bought, the others say why not."""
    rows = [
        made(floor=60000.0 + 1000 * i, bid=b, ask=a)
        for i, (b, a) in enumerate([("0.60", "0.62"), ("0.40", "0.42"), ("0.20", "0.22")])
    ]

    done = passed(rows, [0.70, 0.55, 0.28])

    assert [leg.ticker for leg in done.proposals] == [rows[1].ticker]
    assert done.why.tolist() == [Why.NOT_BEST, Why.GOOD, Why.NOT_BEST]


def test_outcomes_that_exclude_each_other_are_one_basket():
    """Two ranges below their worth: both are bought, as one bet, because together they grow faster."""
    rows = partitioned([60000, 61000, 62000], bid="0.20", ask="0.26")

    done = passed(rows, [0.0, 0.48, 0.48, 0.04])

    (bet,) = done.bets
    assert sorted(leg.ticker for leg in bet.legs) == sorted([rows[1].ticker, rows[2].ticker])
    assert {leg.side for leg in bet.legs} == {"yes"}
    assert float(bet.cost) <= STAKES.event * RICH.equity
    assert done.why[[1, 2]].tolist() == [Why.GOOD] * 2


def test_a_cap_shrinks_the_bet_that_grows_least():
    """Three events that close together: the best get their share, the last what is left of the cluster."""
    rows = [made(floor=60000.0, event=f"E{i}", ticker=f"KXBTCD-E{i}", ask_size=Decimal(100_000)) for i in range(5)]
    stakes = replace(STAKES, max_contracts=100_000)

    done = passed(rows, [0.60, 0.59, 0.58, 0.57, 0.56], stakes=stakes)

    spent = [float(leg.cost) for leg in done.proposals]
    assert sum(spent) <= stakes.cluster * RICH.equity
    assert sum(spent) > 0.99 * stakes.cluster * RICH.equity
    assert [leg.ticker for leg in done.proposals] == [row.ticker for row in rows[: len(spent)]]
    assert Counter(done.why.tolist())[Why.CLUSTER_FULL] == 5 - len(spent)


def test_another_critic_can_only_veto_or_shrink():
    """A factor above 1 is ignored, 0 and NaN veto, a half halves and pays its own fee."""
    done = passed([made(floor=60000.0)], [0.55])
    (bet,) = done.bets
    b = done.board

    assert judged(bet, 7.0, b, STAKES) == bet
    assert judged(bet, 0.0, b, STAKES) is judged(bet, math.nan, b, STAKES) is judged(bet, -1.0, b, STAKES) is None
    half = judged(bet, 0.5, b, STAKES)
    assert half.legs[0].count == bet.legs[0].count // 2
    assert half.legs[0].fee == fee(half.legs[0].count, half.legs[0].price, TAKER)
    assert judged(bet, 0.001, b, STAKES) is None


def test_categories_follow_the_asset():
    """The five coins move together; anything else only with itself."""
    assert category_of(made(asset="DOGE")) == category_of(made()) == "crypto"
    assert category_of(made(asset="NBA")) == "NBA"


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(50, 1e6),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.sampled_from(["yes", "no", "both"]),
)
def test_no_board_makes_the_desk_break_its_rules(seed, equity, cash, held, side):
    """Random ladders and opinions: every cap holds, costs are exact, legs pay, one event has one bet, cash suffices."""
    rng = np.random.default_rng(seed)
    rows, p = [], []
    for e in range(6):
        outcomes = partitioned(
            np.arange(60000, 60000 + 500 * rng.integers(2, 9), 500.0).tolist(),
            event=f"E{e}",
            expiry=NOW + 3600 * (1 + e % 3),
        )
        true = rng.dirichlet(np.ones(len(outcomes)))
        market = np.clip(true + 0.05 * rng.standard_normal(len(true)), 0, 1)
        near = quoted([replace(c, ticker=f"KXBTCD-E{e}-{i}") for i, c in enumerate(outcomes)], market)
        rows += [
            replace(n, event=c.event, expiry=c.expiry, ask_size=Decimal(int(rng.integers(1, 5000))))
            for n, c in zip(near, outcomes, strict=True)
        ]
        p += true.tolist()
    exposure = Exposure(equity, cash * equity, {"other": held * equity}, {}, {"crypto": held * equity})
    stakes = StakeSettings(side=side, max_edge=0.3)

    done = passed(rows, p, exposure=exposure, stakes=stakes)

    by_cluster, at = Counter(), {c.ticker: c for c in rows}
    for leg in done.proposals:
        by_cluster[cluster_of(at[leg.ticker])] += float(leg.cost)
        assert leg.fee == fee(leg.count, leg.price, TAKER)
        assert leg.edge >= stakes.min_edge - 1e-9
        assert leg.gap <= stakes.max_edge + 1e-9
        assert float(leg.cost) <= stakes.market * equity + 1e-6
        assert side in ("both", leg.side)
        assert leg.count % 1 == 0
    total = float(sum(leg.cost for leg in done.proposals))
    assert len({bet.legs[0].event for bet in done.bets}) == len(done.bets)
    assert all(float(bet.cost) <= stakes.event * equity + 1e-6 for bet in done.bets)
    assert all(usd <= stakes.cluster * equity + 1e-6 for usd in by_cluster.values())
    assert (
        total
        <= min(exposure.cash, max(0.0, (stakes.category - held) * equity), max(0.0, (stakes.total - held) * equity))
        + 1e-6
    )
    assert {done.board.contracts[i].ticker for i in np.flatnonzero(done.why == Why.GOOD)} == {
        x.ticker for x in done.proposals
    }


def test_three_thousand_contracts_are_scanned_at_once():
    """The whole pass over 3,000 contracts: one code for each, proposals of the planted mispricing only."""
    spots = {"BTC": Spot(60000.0, 1.0, Volatility(VOL, 0.0))}
    rows = []
    for e in range(20):
        outcomes = partitioned(np.arange(52550, 67450, 100.0).tolist())
        event = [
            replace(c, event=f"KXBTCD-{e}", ticker=f"KXBTCD-{e}-{i}", expiry=NOW + 1800 + 600 * e)
            for i, c in enumerate(outcomes)
        ]
        b = board(*event)
        p = inside(b.low, b.high, 60000 * np.exp((1.2 if e == 7 else 0.0) * sd(VOL, b.left)), sd(VOL, b.left))
        rows += [replace(q, expiry=c.expiry) for q, c in zip(quoted(event, p), event, strict=True)]
    b = board(*rows)

    done = scan(b, Lognormal(), spots, SKILLED, RICH, WIDE, STAKES)

    assert len(done.why) == len(rows) == 3000
    assert {leg.event for leg in done.proposals} == {"KXBTCD-7"}
    assert set(b.flaw.tolist()) <= {Flaw.NONE, Flaw.ONE_SIDED, Flaw.EMPTY}
    assert np.isfinite(done.fair.p).all()


def test_every_code_is_explained():
    """What a contract is refused for stands in docs/reference/reason-codes.md, and why a ladder says nothing."""
    page = (ROOT / "docs" / "reference" / "reason-codes.md").read_text()
    source = (ROOT / "src" / "evenkeel" / "events" / "implied.py").read_text()
    codes = {*(x.name for x in (*Why, *Flaw)), *re.findall(r'"([A-Z]+_[A-Z]+)"', source), "TOO_CLOSE"}

    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
