"""What Roostoo's own arithmetic cuts off is part of a fill's fee, so that cash moves by what its wallet moved by."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import pytest

from evenkeel.types import IntentStatus
from evenkeel.venues import roostoo_rows as rows

SHARED = Path(__file__).parents[3] / "shared" / "data" / "roostoo_query_order.json"


def row(quantity, price, *, side="BUY", raw=False, rate="0.001"):
    """A filled row: as the reply to placing (raw products of doubles) or as a query shows it."""
    product = float(quantity) * float(price)
    amounts = [product, product * float(rate)]
    shown = [repr(x) if raw else repr(math.floor(x * 1e6) / 1e6) for x in amounts]
    return {
        "OrderID": 7, "Pair": "BTC/USD", "Side": side, "Type": "MARKET", "Status": "FILLED", "CreateTimestamp": 1,
        "FinishTimestamp": 2, "Quantity": Decimal(quantity), "FilledQuantity": Decimal(quantity),
        "CoinChange": Decimal(quantity), "FilledAverPrice": Decimal(price), "Price": Decimal(price),
        "UnitChange": Decimal(shown[0]), "CommissionChargeValue": Decimal(shown[1]), "CommissionCoin": "USD",
        "CommissionPercent": Decimal(rate),
    }  # fmt: skip


def cash_moved(found):
    """By how much our books move, from the venue's row."""
    fill = rows.order_of(found).order.fills[0]
    return -fill.quantity * fill.price - fill.fee


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(("side", "moved"), [("BUY", "-79.183703"), ("SELL", "79.025495")])
def test_cash_moves_by_what_the_wallet_moves_by(side, moved, raw):
    """0.513 x 154.2 is 79.1046, and the venue makes 79.104599 of it: both rows of the order say so."""
    assert cash_moved(row("0.513", "154.2", side=side, raw=raw)) == Decimal(moved)


def test_a_row_that_says_another_amount_is_believed():
    """Not our arithmetic: what the venue charges counts."""
    found = row("0.513", "154.2") | {"UnitChange": Decimal("79.2"), "CommissionChargeValue": Decimal("0.5")}

    assert cash_moved(found) == Decimal("-79.7")


@pytest.mark.skipif(not SHARED.exists(), reason="real answers are not committed")
def test_cash_moves_as_in_every_real_row():
    """UnitChange and CommissionChargeValue of recorded fills, to the last of their six decimals."""
    found = json.loads(SHARED.read_text(), parse_float=Decimal)["OrderMatched"]
    filled = [item for item in found if rows.order_of(item).order.status is IntentStatus.FILLED]
    assert len(filled) > 10
    for item in filled:
        sign = -1 if item["Side"] == "BUY" else 1
        assert cash_moved(item) == sign * Decimal(item["UnitChange"]) - Decimal(item["CommissionChargeValue"])
