"""The drift and width that a ladder implies, planted and found again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.events.board import contract, ladders
from evenkeel.events.fair import Spot, inside, sd
from evenkeel.events.implied import implied
from evenkeel.events.volatility import Volatility
from evenkeel.types import Board
from evenkeel.units import YEAR_S
from events.laddered import DATA, NOW, board, made, partitioned, quoted

VOL = 0.5 / math.sqrt(YEAR_S)
SPOT = {"BTC": Spot(60000.0, 5.0, Volatility(VOL, 0.0), basis=5e-4)}
STRIKES = np.arange(58500, 61600, 100.0).tolist()


def planted(contracts, drift, wide, spread=0.0002):
    """The contracts quoted finely around a lognormal of that drift (in own sigmas) and width (in own sd)."""
    b = board(*contracts)
    own = sd(VOL, b.left)
    p = inside(b.low, b.high, 60000 * np.exp(drift * own), wide * own)
    rows = [replace(c, yes_bid=None, yes_ask=None) for c in contracts]
    for i, x in enumerate(p.tolist()):
        if spread < x < 1 - spread:
            bid, ask = (made(bid=f"{x - spread / 2:.7f}", ask=f"{x + spread / 2:.7f}", ticks=()) for _ in range(2))
            rows[i] = replace(contracts[i], yes_bid=bid.yes_bid, yes_ask=ask.yes_ask, ticks=())
    return board(*rows)


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.floats(0.4, 2.5), st.booleans())
def test_what_was_planted_is_found(drift, wide, ranges):
    """From thresholds and from ranges alike: drift to a hundredth of a sigma, width to a hundredth of itself."""
    rows = partitioned(STRIKES) if ranges else tuple(made(floor=k) for k in STRIKES)

    (found,) = implied(planted(rows, drift, wide), SPOT)

    assert found.reason == ""
    assert found.drift == pytest.approx(drift, abs=0.01)
    assert found.vol == pytest.approx(0.5 * wide, rel=0.01)
    assert found.mu == pytest.approx(found.drift * VOL * math.sqrt(3560))
    assert found.misfit < 1e-4


def test_quotes_in_cents_blur_it_within_its_error():
    """Rounded to the cent and two cents wide: the drift within a tenth of a sigma, and an error that says so."""
    rows = partitioned(STRIKES)
    b = board(*rows)
    own = sd(VOL, b.left)
    p = inside(b.low, b.high, 60000 * np.exp(0.5 * own), 1.2 * own)

    (found,) = implied(board(*quoted(rows, p)), SPOT)

    assert abs(found.drift - 0.5) < min(0.1, 4 * found.error)
    assert 0.001 < found.error < 0.1
    assert found.quotes >= 6


@pytest.mark.parametrize(
    ("spot", "changes", "count", "reason"),
    [(None, {}, 9, "SPOT_STALE"), (replace(SPOT["BTC"], age_s=61), {}, 9, "SPOT_STALE"),
     (replace(SPOT["BTC"], volatility=Volatility(math.nan, math.nan)), {}, 9, "NO_VOLATILITY"),
     (replace(SPOT["BTC"], basis=-21e-4), {}, 9, "BASIS_WIDE"), (SPOT["BTC"], {"expiry": NOW + 90}, 9, "TOO_CLOSE"),
     (SPOT["BTC"], {}, 2, "FEW_QUOTES"), (SPOT["BTC"], {"bid": "0.30", "ask": "0.41"}, 9, "FEW_QUOTES"),
     (SPOT["BTC"], {"ask": None}, 9, "FEW_QUOTES")],
)  # fmt: skip
def test_an_event_that_cannot_be_read_says_why(spot, changes, count, reason):
    """Old or missing spot, no volatility, a basis, too late, too few or unusable quotes: NaN and the reason."""
    rows = [made(floor=60000.0 + 100 * i, **changes) for i in range(count)]

    (found,) = implied(board(*rows), {} if spot is None else {"BTC": spot})

    assert found.reason == reason
    assert np.isnan([found.mu, found.drift, found.error, found.vol]).all()


def test_an_unknown_basis_is_no_basis_that_is_too_wide():
    """Nobody compared our price with the index: the event is read."""
    spot = {"BTC": replace(SPOT["BTC"], basis=math.nan)}

    (found,) = implied(planted(tuple(made(floor=k) for k in STRIKES), 0.3, 1.0), spot)

    assert found.drift == pytest.approx(0.3, abs=0.01)


def test_teams_imply_no_drift():
    """An event without strikes is not in the answer."""
    assert implied(board(made("structured")), SPOT) == ()


@pytest.mark.skipif(not DATA.exists(), reason=f"the shared Kalshi rows are not here: {DATA}")
def test_real_ladders_are_read():
    """BTC half an hour before the close: most give a drift within two sigmas, and none raises."""
    pd = pytest.importorskip("pandas")
    frame = pd.read_parquet(DATA / "kalshi_crypto_hourly.parquet", filters=[("series", "==", "KXBTC")])
    names = {f"{side}_{what}": f"{side}_{what}_dollars" for side in ("yes", "no") for what in ("bid", "ask")}
    frame = frame.rename(columns=names).round(dict.fromkeys(names.values(), 6))
    found = []
    for captured in sorted(frame["captured_at"].unique())[::8]:
        part = frame[frame["captured_at"] == captured]
        rows = tuple(contract(row, asset="BTC") for row in part.to_dict("records"))
        spot = {"BTC": Spot(float(part["spot_price"].iloc[0]), 0.0, Volatility(0.35 / math.sqrt(YEAR_S), 0.0))}
        found += implied(ladders(Board(int(captured.timestamp()), rows)), spot)

    drifts = np.array([x.drift for x in found if not x.reason])
    assert len(found) >= 40
    assert len(drifts) >= 0.4 * len(found)
    assert np.median(np.abs(drifts)) < 0.5
    assert {x.reason for x in found} <= {"", "FEW_QUOTES", "TOO_CLOSE", "NO_FIT"}
