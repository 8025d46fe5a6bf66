"""From ladders to x: formulas beside slow twins, reasons beside their cause."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import ArtifactError
from evenkeel.events.fair import Spot, inside, sd
from evenkeel.events.implied import implied
from evenkeel.events.volatility import Volatility
from evenkeel.market.panel import panel as make_panel
from evenkeel.signals import crowd as crowds
from evenkeel.signals.crowd import LEAST_PAST, MEAN_S, Crowd
from evenkeel.signals.edge import Skill, correlation, edge, load
from evenkeel.types import Board, Health, Reading
from evenkeel.units import YEAR_S
from events.laddered import NOW, board, made, quoted

SIGMA = 0.5 / math.sqrt(YEAR_S)
SPOTS = {"BTC": Spot(60_000.0, 5.0, Volatility(SIGMA, 0.0))}
STRIKES = np.arange(58_500.0, 61_600.0, 100.0).tolist()
SKILL = Skill("v1", "d" * 64, "x", 0.5, 0.05, 10.0, 400, 0, 2**40)
DAY = 86_400


def ladder(drift=0.5, width=1.0, **changes):
    """Thresholds on BTC that close in an hour, quoted two cents wide around a lognormal of that drift in sigmas."""
    rows = tuple(made(floor=k) for k in STRIKES)
    told = board(*rows)
    own = sd(SIGMA, told.left)
    p = inside(told.low, told.high, 60_000 * np.exp(drift * own), width * own)
    return tuple(replace(c, **changes) for c in quoted(rows, p))


def before(mu, count=LEAST_PAST, step=1_800):
    """A past of so many readings of BTC, all with that drift."""
    return {"BTC": tuple((NOW - i * step, mu) for i in range(count, 0, -1))}


def read(contracts, past, spots=SPOTS):
    """The reading of BTC."""
    return crowds.read(Board(NOW, tuple(contracts)), spots, past)[0]


def test_drift_is_what_the_ladder_implies_less_its_own_mean_in_our_sigmas():
    """D = (mu - mean of the past 7 days) / (sigma sqrt(T - 40 s)), beside the events room's own fit."""
    usual, own = 3e-4, SIGMA * math.sqrt(3_560)
    (fit,) = implied(board(*ladder()), SPOTS)
    said = read(ladder(), before(usual))

    assert fit.drift == pytest.approx(0.5, abs=0.05)
    assert said.mu == fit.mu
    assert said.mean == pytest.approx(usual)
    assert said.drift == pytest.approx((fit.mu - usual) / own)
    assert said.vol == pytest.approx(0.5, rel=0.1)
    assert (said.past, said.close, said.reason) == (LEAST_PAST, NOW + 3_600, "")
    assert {ticker for ticker, _, _ in said.contracts} <= {c.ticker for c in ladder()}
    assert all(0 < bid < ask < 1 for _, bid, ask in said.contracts)


def test_the_mean_is_of_seven_days_and_of_nothing_newer():
    """A reading that is older, and one of the board's own moment, are not in it."""
    past = {"BTC": ((NOW - MEAN_S - 1, 9.0), *before(1e-4)["BTC"], (NOW, 9.0), (NOW + 60, 9.0))}

    assert read(ladder(), past).mean == pytest.approx(1e-4)
    assert crowds.later(past, [read(ladder(), past)])["BTC"][0][0] == NOW - LEAST_PAST * 1_800


@pytest.mark.parametrize(
    ("contracts", "past", "spots", "reason"),
    [
        (ladder(), before(0.0, LEAST_PAST - 1), SPOTS, "TOO_NEW"),
        (ladder(), before(0.0), {}, "SPOT_STALE"),
        (ladder(), before(0.0), {"BTC": replace(SPOTS["BTC"], age_s=61.0)}, "SPOT_STALE"),
        (ladder(), before(0.0), {"BTC": replace(SPOTS["BTC"], basis=0.0021)}, "BASIS_WIDE"),
        (ladder(), before(0.0), {"BTC": Spot(60_000.0, 0.0)}, "NO_VOLATILITY"),
        (ladder(expiry=NOW + 80), before(0.0), SPOTS, "NO_LADDER"),
        (ladder(status="inactive"), before(0.0), SPOTS, "NO_LADDER"),
        (ladder(status="doubted"), before(0.0), SPOTS, "NO_LADDER"),
        (ladder()[:2], before(0.0), SPOTS, "NO_LADDER"),
        ((), before(0.0), SPOTS, "NO_LADDER"),
    ],
)
def test_what_cannot_be_read_is_nan_and_says_why(contracts, past, spots, reason):
    """Down, thin, paused, too new: never a number."""
    said = read(contracts, past, spots)

    assert said.reason == reason
    assert math.isnan(said.drift)


@pytest.mark.parametrize("field", ["yes_bid", "yes_ask"])
def test_m7_a_missing_price_is_no_quote_and_never_a_number(field):
    """Of a whole side: too few quotes. Of some contracts: those are left out, the others say what they say."""
    rows = ladder()
    silent = tuple(replace(c, **{field: None}) for c in rows)
    mixed = (*silent[:10], *rows[10:])

    assert read(silent, before(0.0)).reason == "FEW_QUOTES"
    told = read(mixed, before(0.0))
    assert told.reason == ""
    assert {ticker for ticker, _, _ in told.contracts}.isdisjoint({c.ticker for c in silent[:10]})
    assert told.drift == pytest.approx(read(rows, before(0.0)).drift, abs=0.1)


def test_of_two_ladders_that_close_next_the_one_with_more_quotes_is_read():
    """A ladder that closes later is not looked at, whatever it says."""
    few = tuple(replace(c, event="KXBTC-A", ticker=f"A{i}") for i, c in enumerate(ladder(drift=-1.0)[13:18]))
    later = tuple(replace(c, event="KXBTC-L", ticker=f"L{i}", expiry=NOW + 7_200) for i, c in enumerate(ladder()))
    many = tuple(replace(c, event="KXBTCD-B", ticker=f"B{i}") for i, c in enumerate(ladder(drift=1.0)))

    assert read((*few, *later, *many), before(0.0)).event == "KXBTCD-B"
    assert read((*few, *later), before(0.0)).event == "KXBTC-A"


def test_volatility_is_our_own_of_closed_bars_and_knows_none_that_closes_later():
    """Realised over the bars up to the board's time; the price is the quoted one, as old as it is."""
    time = np.arange(NOW - 400 * 1_800, NOW + 5 * 1_800, 1_800)
    rng = np.random.default_rng(1)
    close = 60_000 * np.exp(np.cumsum(rng.normal(0, SIGMA * math.sqrt(1_800), len(time))))
    wild = np.where(time > NOW, close * rng.lognormal(0, 1, len(time)), close)

    def known(prices):
        columns = [np.stack([prices], axis=1)] * 4
        panel = make_panel(time, ("BTC",), *columns, np.ones((len(time), 1)), 1_800)
        return crowds.spots(panel, NOW, {"BTC": (61_000.0, NOW - 7), "ETH": (1.0, NOW)})

    assert known(close) == known(wild)
    assert set(known(close)) == {"BTC"}
    assert known(close)["BTC"].price == 61_000.0
    assert known(close)["BTC"].age_s == 7.0
    assert known(close)["BTC"].volatility.sigma == pytest.approx(SIGMA, rel=0.2)


# ---------------------------------------------------------------- x


def world(assets=("BTC", "ETH", "UNI", "NEW"), rows=500):
    """Hourly log prices that share a part of BTC's moves; the last asset is 100 hours old, one has a gap."""
    rng = np.random.default_rng(5)
    moves = rng.normal(0, 0.01, (rows, len(assets)))
    moves[:, 1:] += moves[:, [0]]
    logs = np.cumsum(moves, axis=0)
    logs[:-100, 3] = np.nan
    logs[300:320, 2] = np.nan
    return assets, logs


def said(*readings, skill=SKILL, row=-1, source="x", wanted=True):
    """The edge of two rows, of which the last one has these readings."""
    assets, logs = world()
    time = np.array([NOW - 3_600, NOW])
    crowd = Crowd(source, {NOW: tuple(readings)} if readings else {})
    return edge(crowd, skill, assets, time, logs, 3_600, wanted=wanted).opinion(row % 2)


def drifting(coin, drift, left=3_600, reason=""):
    """A reading with that drift."""
    return Reading(coin, NOW, f"KX{coin}", NOW + left, drift=drift, reason=reason)


def test_correlation_is_that_of_a_plain_loop_over_fourteen_days():
    """Pairs of hours in which both are known; too few of them are none."""
    _, logs = world()
    moves = np.diff(logs[-337:], axis=0)

    found = correlation(logs, len(logs) - 1, 1, 0)

    for i in range(3):
        both = np.isfinite(moves[:, 0]) & np.isfinite(moves[:, i])
        assert found[i] == pytest.approx(np.corrcoef(moves[both, 0], moves[both, i])[0, 1], abs=1e-12)
    assert found[0] == pytest.approx(1.0)
    assert math.isnan(found[3])


def test_kalshis_coins_have_their_own_drift_and_all_others_that_of_btc_by_correlation():
    """Clipped at 3; an asset without a correlation has no x."""
    x = said(drifting("BTC", 2.0), drifting("ETH", -5.0)).x
    rho = correlation(world()[1], 499, 1, 0)

    assert x[:3] == pytest.approx([2.0, -3.0, 2.0 * rho[2]])
    assert math.isnan(x[3])


def test_a_coin_of_kalshis_that_cannot_be_read_does_not_borrow_btcs_drift():
    """And without BTC's only coins that were read have an opinion."""
    x = said(drifting("BTC", 2.0), drifting("ETH", math.nan, reason="FEW_QUOTES")).x
    other = said(drifting("BTC", math.nan, reason="TOO_NEW"), drifting("ETH", 1.0))

    assert math.isnan(x[1])
    assert np.isnan(other.x[[0, 2, 3]]).all()
    assert other.x[1] == 1.0
    assert "TOO_NEW (BTC)" in other.reason


@pytest.mark.parametrize("left", [100, 1_800, 3_600])
def test_an_hours_drift_is_an_hours(left):
    """X times strength times the day's sigma is IC times d times the sigma of the ladder's own horizon."""
    told, day = said(drifting("BTC", 2.0, left)), SIGMA * math.sqrt(DAY)

    assert told.x[0] * told.strength * day == pytest.approx(SKILL.weight * 2.0 * SIGMA * math.sqrt(left - 40))


def test_weight_is_what_the_evidence_carries_and_no_prior():
    """Shrunk by its own t; nothing for what is not significant, or was never measured."""
    assert replace(SKILL, ic=0.05, ic_t=0.83).weight == 0.0
    assert replace(SKILL, ic=math.nan, ic_t=math.nan).weight == 0.0
    assert replace(SKILL, ic=-0.3, ic_t=-9.0).weight == 0.0
    assert replace(SKILL, ic=0.1, ic_t=2.0).weight == pytest.approx(0.075)


@pytest.mark.parametrize(
    ("told", "health"),
    [
        (said(drifting("BTC", 1.0)), Health.OK),
        (said(drifting("BTC", 1.0), skill=None), Health.OFF),
        (said(drifting("BTC", 1.0), row=0), Health.MISSING),
        (said(drifting("BTC", math.nan, reason="FEW_QUOTES")), Health.MISSING),
        (said(), Health.MISSING),
        (said(drifting("BTC", 1.0), wanted=False), Health.OFF),
    ],
)
def test_health_says_whether_it_speaks(told, health):
    """Only what is ok has a strength; what is not, has a reason."""
    assert told.health is health
    assert (told.strength > 0) == (health is Health.OK)
    assert told.reason


def test_a_bundle_that_is_none_is_refused(tmp_path):
    """In one sentence."""
    from evenkeel import artifacts

    path = artifacts.write(tmp_path, "edge", "v1", {"expires": 1, "skill": {"ic": 1}}, {"CARD.md": b"x"}).path

    with pytest.raises(ArtifactError, match="is no edge bundle"):
        load(path)


cents = st.none() | st.integers(1, 99).map(lambda c: c / 100)
strikes = st.none() | st.sampled_from(STRIKES) | st.floats(-1e6, 1e12) | st.sampled_from([0.0, 60_000.0, 5e-324])
anything = st.builds(
    lambda kind, floor, cap, bid, ask, left, event: made(
        kind, floor, cap, bid, ask, expiry=NOW + left, event=event, ticker=f"{event}-{floor}-{cap}"
    ),
    st.sampled_from(["greater", "less", "between", "greater_or_equal", "structured", ""]),
    strikes, strikes, cents, cents, st.sampled_from([-10, 91, 3_600]), st.sampled_from(["A", "B"]),
)  # fmt: skip
prices = st.floats(allow_nan=True, allow_infinity=True) | st.just(60_000.0)


@settings(max_examples=150, deadline=None)
@given(st.lists(anything, max_size=12), prices, st.floats(0, 1) | st.just(math.nan), st.floats(-1, 1))
def test_whatever_is_quoted_five_readings_come_of_it_and_no_error(contracts, price, sigma, mu):
    """Any strikes, quotes, price and volatility: a number where it can be read, else a reason; never both."""
    spots = {"BTC": Spot(price, 0.0, Volatility(sigma, 0.0))}

    said = crowds.read(Board(NOW, tuple(contracts)), spots, before(mu))

    assert [one.asset for one in said] == list(crowds.COINS)
    assert all(math.isfinite(one.drift) == (not one.reason) for one in said)
