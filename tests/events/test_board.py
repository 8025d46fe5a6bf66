"""What is quoted: prices, grids, intervals, and which quotes are not believed."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.errors import DataError
from evenkeel.events.board import Flaw, complement, contract, disjoint, on_grid, price, series_of, snapped, tiles
from evenkeel.events.board import ladders as arrays
from evenkeel.events.fair import Lognormal, Spot
from evenkeel.events.volatility import Volatility
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.market.synthetic_boards import board as crowd
from evenkeel.types import Board, Pair
from evenkeel.units import DAY_S
from events.laddered import CENTS, DATA, NOW, TAPERED, board, made, partitioned

ROW = {
    "ticker": "KXBTC-26JUL1007-B64150", "event_ticker": "KXBTC-26JUL1007", "close_time": "2026-07-10T11:00:00Z",
    "strike_type": "between", "floor_strike": 64100, "cap_strike": 64199.99, "status": "active",
    "yes_bid_dollars": "0.1000", "yes_ask_dollars": "0.1200", "no_bid_dollars": "0.8800", "no_ask_dollars": "0.9000",
    "yes_bid_size_fp": "821.00", "yes_ask_size_fp": "520.06", "price_ranges": [
        {"start": "0.0000", "end": "1.0000", "step": "0.0100"}
    ],
}  # fmt: skip


@pytest.mark.parametrize("given_", [None, "", "0.0000", "1.0000", 0, 1])
def test_an_empty_price_is_no_quote(given_):
    """What the API writes for a side that nobody quotes is neither 0 nor 1 nor 0.5."""
    assert price(given_) is None


@pytest.mark.parametrize("given_", ["56", 45, "-0.1", "nan", "1.01", "a"])
def test_a_price_in_cents_is_refused(given_):
    """A number outside 0 to 1 USD is an error in words, never scaled."""
    with pytest.raises(DataError, match="price"):
        price(given_)


def test_a_market_object_becomes_a_contract():
    """Every field of the row, prices and counts as Decimal; an unknown field is tolerated."""
    one = contract({**ROW, "new_field": {}}, asset="BTC", fee_type="quadratic", fee_multiplier=Decimal(1))

    assert (one.yes_bid, one.yes_ask, one.bid_size, one.ask_size) == tuple(
        map(Decimal, ("0.1", "0.12", "821", "520.06"))
    )
    assert (one.kind, one.floor, one.cap, one.expiry) == ("between", 64100.0, 64199.99, 1_783_681_200)
    assert one.ticks == CENTS
    assert series_of(one.ticker) == "KXBTC"


def test_a_side_that_only_no_quotes_is_taken_from_there():
    """YES ask = 1 - NO bid; YES bid = 1 - NO ask."""
    one = contract({**ROW, "yes_bid_dollars": "", "yes_ask_dollars": None}, asset="BTC")

    assert (one.yes_bid, one.yes_ask) == (Decimal("0.1"), Decimal("0.12"))


def test_sides_that_disagree_are_refused():
    """NO = 1 - YES everywhere: a row in which it is not was misread."""
    with pytest.raises(DataError, match=r"yes_ask is 0\.1200, but no_bid says 0\.1"):
        contract({**ROW, "no_bid_dollars": "0.9000"}, asset="BTC")


def test_a_game_ends_when_it_is_expected_to():
    """Its close time is days after it; a ladder's close time is the close, although it may close early as well."""
    early = {"can_close_early": True, "expected_expiration_time": "2026-07-10T09:00:00Z"}

    assert contract({**ROW, **early, "strike_type": "structured"}, asset="NBA").expiry == 1_783_674_000
    assert contract({**ROW, **early}, asset="BTC").expiry == 1_783_681_200
    assert contract({**ROW, "strike_type": "structured"}, asset="NBA").expiry == 1_783_681_200


@pytest.mark.parametrize("lost", ["ticker", "event_ticker", "close_time"])
def test_a_market_without_a_name_or_close_is_refused(lost):
    """Nothing is made up for it."""
    with pytest.raises(DataError, match="no ticker, event or close"):
        contract({key: value for key, value in ROW.items() if key != lost}, asset="BTC")


@given(st.integers(1, 999_999))
def test_the_complement_of_the_complement_is_the_price(millionths):
    """NO = 1 - YES, exactly, both ways."""
    quote = Decimal(millionths).scaleb(-6)

    assert complement(complement(quote)) == quote
    assert quote + complement(quote) == 1


@pytest.mark.parametrize(
    ("quote", "ticks", "legal"),
    [("0.56", CENTS, True), ("0.565", CENTS, False), ("0.056", TAPERED, True), ("0.565", TAPERED, False),
     ("0.955", TAPERED, True), ("0.1", TAPERED, True), ("0", CENTS, False), ("1", TAPERED, False), ("0.5", (), False)],
)  # fmt: skip
def test_an_order_off_the_grid_is_not_legal(quote, ticks, legal):
    """Steps as the market's own price_ranges say; without a grid nothing is legal."""
    assert on_grid(Decimal(quote), ticks) is legal


@given(st.integers(1, 99_999), st.sampled_from([CENTS, TAPERED]), st.booleans())
def test_a_snapped_price_is_legal_and_nearest(numerator, ticks, up):
    """On the grid, on the asked side, and no legal price lies between."""
    quote = Decimal(numerator).scaleb(-5)
    every = [Decimal(k).scaleb(-3) for k in range(1, 1000) if on_grid(Decimal(k).scaleb(-3), ticks)]
    beside = [x for x in every if (x >= quote if up else x <= quote)]

    found = snapped(quote, ticks, up=up)

    assert found == ((min if up else max)(beside) if beside else None)


def test_every_kind_is_an_interval_of_the_settled_value():
    """Strict and inclusive strikes, seen before the value is rounded to the cent."""
    rows = [made("between", 64100.0, 64199.99), made("greater", 64199.99), made("greater_or_equal", 64199.99)]
    rows += [
        made("less", None, 64100.0),
        made("less_or_equal", None, 64100.0),
        made("structured"),
        made("between", 5.0),
    ]

    b = board(*rows)

    expected = [(64099.995, 64199.995), (64199.995, math.inf), (64199.985, math.inf), (0, 64099.995), (0, 64100.005)]
    assert np.allclose(np.array([b.low, b.high]).T[:5], expected, rtol=0, atol=1e-7)
    assert np.isnan([b.low[5:], b.high[5:]]).all()


def test_a_partition_leaves_nothing_between_its_outcomes():
    """Tails and ranges as the venue writes them cover every value exactly once."""
    rows = partitioned([64000, 64100, 64200, 64300])
    b = board(*rows[::-1])

    assert tiles(b.low, b.high)
    assert disjoint(b.low[1:], b.high[1:])
    assert not tiles(b.low[1:], b.high[1:])
    assert not disjoint(np.array([1.0, 2.0]), np.array([np.inf, np.inf]))


@pytest.mark.parametrize(
    ("bid", "ask", "flaw"),
    [("0.40", "0.44", Flaw.NONE), (None, "0.44", Flaw.ONE_SIDED), ("0.40", None, Flaw.ONE_SIDED),
     (None, None, Flaw.EMPTY), ("0.44", "0.44", Flaw.CROSSED), ("0.50", "0.44", Flaw.CROSSED),
     ("0.405", "0.44", Flaw.OFF_GRID)],
)  # fmt: skip
def test_a_quote_that_is_not_two_sided_is_marked(bid, ask, flaw):
    """One word for each, and no mid where a side is missing."""
    b = board(made(floor=60000.0, bid=bid, ask=ask))

    assert b.flaw.tolist() == [flaw]
    assert np.isfinite(b.mid[0]) == (bid is not None and ask is not None)


def test_thresholds_that_contradict_each_other_are_marked():
    """Above 60,000 cannot be asked below what above 61,000 is bid; the third rung is innocent."""
    rows = [made(floor=60000.0, bid="0.40", ask="0.44"), made(floor=61000.0, bid="0.46", ask="0.48")]
    rows.append(made(floor=62000.0, bid="0.10", ask="0.12"))

    assert board(*rows).flaw.tolist() == [Flaw.DISORDER, Flaw.DISORDER, Flaw.NONE]


def test_thresholds_from_below_rise():
    """Below 61,000 pays whenever below 60,000 does."""
    rows = [made("less", None, 60000.0, "0.40", "0.44"), made("less", None, 61000.0, "0.30", "0.32")]

    assert board(*rows).flaw.tolist() == [Flaw.DISORDER] * 2
    assert board(made("less", None, 60000.0, "0.20", "0.44"), rows[1]).flaw.tolist() == [Flaw.NONE] * 2


def test_exclusive_outcomes_bid_above_one_are_marked():
    """By their strikes, or because the venue says that only one of them pays (teams)."""
    teams = [made("structured", ticker=f"KXNBAGAME-X-{t}", bid="0.60", ask="0.62") for t in "AB"]
    ranges = partitioned([60000, 61000, 62000], bid="0.30", ask="0.31")

    assert board(*teams).flaw.tolist() == [Flaw.NONE] * 2
    assert (
        board(
            *(made("structured", bid="0.60", ask="0.62", ticker=t.ticker, exclusive=True) for t in teams)
        ).flaw.tolist()
        == [Flaw.SUM] * 2
    )
    assert board(*ranges).flaw.tolist() == [Flaw.SUM] * 4
    assert board(*partitioned([60000, 61000, 62000], bid="0.20", ask="0.24")).flaw.tolist() == [Flaw.SUM] * 4
    assert board(*partitioned([60000, 61000, 62000], bid="0.20", ask="0.26")).flaw.tolist() == [Flaw.NONE] * 4


def test_an_empty_board_has_no_rows():
    """Nothing quoted: arrays of nothing, no error."""
    b = board()

    assert b.events == ()
    assert b.bid.shape == b.low.shape == b.flaw.shape == (0,)


@pytest.mark.skipif(not DATA.exists(), reason=f"the shared Kalshi rows are not here: {DATA}")
def test_real_api_objects_parse():
    """Every raw object of the API becomes a contract; quotes stay within (0, 1) and on the venue's own grid."""
    samples = json.loads((DATA / "kalshi_raw_api_samples.json").read_text())
    rows = [row for group in samples.values() for row in (group.values() if isinstance(group, dict) else group)]

    b = arrays(Board(NOW, tuple(contract(row, asset="?", exclusive=False) for row in rows)))

    assert len(rows) == 30
    assert Flaw.OFF_GRID not in b.flaw
    assert np.bincount(b.flaw).tolist() == [14, 0, 0, 0, 0, 0, 16]
    assert np.nanmin(b.bid) > 0
    assert np.nanmax(b.ask) < 1


@pytest.mark.skipif(not DATA.exists(), reason=f"the shared Kalshi rows are not here: {DATA}")
def test_real_ladders_are_sane():
    """97,874 quotes of 743 ladders: no exception; ladders cover everything once, few of them are broken."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_parquet(DATA / "kalshi_crypto_hourly.parquet")
    names = {
        "yes_bid": "yes_bid_dollars",
        "yes_ask": "yes_ask_dollars",
        "no_bid": "no_bid_dollars",
        "no_ask": "no_ask_dollars",
    }
    frame = frame.rename(columns=names)
    frame[[*names.values()]] = frame[[*names.values()]].round(6)
    captures = sorted(frame["captured_at"].unique())[::12]
    flaws, whole, events, two_sided = np.zeros(len(Flaw), dtype=int), 0, 0, 0

    for captured in captures:
        part = frame[frame["captured_at"] == captured]
        rows = [contract(row, asset=row["series"][2:]) for row in part.to_dict("records")]
        b = arrays(Board(int(captured.timestamp()), tuple(rows)))
        flaws += np.bincount(b.flaw, minlength=len(Flaw))
        events += len(b.events)
        whole += sum(tiles(b.low[b.event == i], b.high[b.event == i]) for i in range(len(b.events)))
        two_sided += int(np.isfinite(b.mid).sum())
        assert [(c.yes_bid is None) == np.isnan(x) for c, x in zip(rows, b.bid, strict=True)].count(False) == 0

    assert events >= 60
    assert whole == events
    assert flaws[Flaw.CROSSED] + flaws[Flaw.DISORDER] + flaws[Flaw.OFF_GRID] == 0
    assert flaws[Flaw.SUM] <= 0.05 * flaws.sum()
    assert two_sided > 3 * events


def test_the_embedded_market_quotes_sane_ladders():
    """The board of the synthetic crowd: its terms are known, thresholds in order, priced as the crowd prices them."""
    coin = Pair("BTC", "BTC/USD", 1, 2, 3, Decimal(1))
    world = SyntheticSettings()
    panel = market([coin], world.epoch, world.epoch + 3 * DAY_S, 1800, world)
    b = arrays(crowd(panel, 143, world))
    returns = np.diff(np.log(panel.close[47:144, 0]))
    sigma = math.sqrt(float(np.mean(returns**2)) / 1800)

    fair = Lognormal()(b, {"BTC": Spot(float(panel.close[143, 0]), 0.0, Volatility(sigma, 0.0))})

    assert set(b.flaw.tolist()) <= {Flaw.NONE, Flaw.ONE_SIDED, Flaw.EMPTY}
    assert np.isfinite(b.rate).all()
    two_sided = b.flaw == Flaw.NONE
    assert two_sided.sum() > 15
    assert np.abs(fair.p - b.mid)[two_sided].max() < 0.02
