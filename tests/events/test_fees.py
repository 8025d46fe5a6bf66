"""The venue's fees to the cent, as Decimal and as arrays."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.events.fees import CENT, MAKER, TAKER, fee, fees, rate, rates
from events.laddered import made


@pytest.mark.parametrize(
    ("count", "price", "usd"),
    [(1, "0.50", "0.02"), (100, "0.50", "1.75"), (10, "0.10", "0.07"), (100, "0.95", "0.34"), (1, "0.05", "0.01")],
)
def test_the_fee_table_to_the_cent(count, price, usd):
    """The taker's examples of specs/kalshi.md section 9, in both forms, and the same for NO at 1 - price."""
    assert fee(Decimal(count), Decimal(price), TAKER) == Decimal(usd)
    assert fee(Decimal(count), 1 - Decimal(price), TAKER) == Decimal(usd)
    assert fees(np.array([count]), np.array([float(price)]), np.array([0.07])).tolist() == pytest.approx([float(usd)])


@pytest.mark.parametrize(
    ("kind", "multiplier", "taker", "maker"),
    [("quadratic", "1", "0.07", "0"), ("quadratic", "0.5", "0.035", "0"),
     ("quadratic_with_maker_fees", "1", "0.07", "0.0175"), ("quadratic_with_maker_fees", "0.5", "0.035", "0.0175"),
     ("quadratic_with_maker_fees", "2", "0.14", "0.035"), ("quadratic", "0", "0", "0")],
)  # fmt: skip
def test_rates_of_a_series(kind, multiplier, taker, maker):
    """Half rate by multiplier; makers pay only where the series says so, and never less than documented."""
    one = made(fee_type=kind, fee_multiplier=Decimal(multiplier))

    assert rate(one) == Decimal(taker)
    assert rate(one, maker=True) == Decimal(maker)


@pytest.mark.parametrize(
    ("kind", "multiplier"), [("flat", "1"), ("", "1"), ("quadratic", None), ("new", "1"), ("quadratic", "NaN")]
)
def test_unknown_terms_give_no_fee(kind, multiplier):
    """Not 0: None, and NaN in arrays, from which nothing can be staked."""
    one = made(fee_type=kind, fee_multiplier=None if multiplier is None else Decimal(multiplier))

    assert rate(one) is rate(one, maker=True) is None
    assert np.isnan(rates((one,))).all()


@given(st.integers(1, 500_000), st.integers(1, 999), st.sampled_from([TAKER, MAKER, Decimal(0)]))
def test_arrays_agree_with_decimals(hundredths, mills, rate_):
    """Counts of 0.01, prices of 0.001: the same fee to a millionth of a cent."""
    count, price = Decimal(hundredths).scaleb(-2), Decimal(mills).scaleb(-3)

    exact = fee(count, price, rate_)

    assert fees(np.array([float(count)]), np.array([float(price)]), np.array([float(rate_)]))[0] == pytest.approx(
        float(exact), abs=1e-8
    )
    assert exact >= rate_ * count * price * (1 - price)
    assert exact < rate_ * count * price * (1 - price) + Decimal("0.0201")


@given(st.integers(1, 5_000), st.integers(1, 99))
def test_the_two_documented_roundings_agree_on_whole_cents(count, cents):
    """Whole contracts at whole cents: the ceiling of the fee, bought or sold."""
    c, p = Decimal(count), Decimal(cents).scaleb(-2)
    ceiling = (TAKER * c * p * (1 - p)).quantize(CENT, ROUND_CEILING)

    assert fee(c, p, TAKER) == fee(c, p, TAKER, selling=True) == ceiling


@given(st.integers(1, 500_000), st.integers(1, 999), st.booleans())
def test_the_balance_moves_by_whole_cents_or_less_in_our_favour(hundredths, mills, selling):
    """With its fee a fill never takes less from the balance than the venue's rounding does."""
    count, price = Decimal(hundredths).scaleb(-2), Decimal(mills).scaleb(-3)
    value = count * price * (-1 if selling else 1)

    taken = value + fee(count, price, TAKER, selling=selling)

    assert taken >= (value + TAKER * count * price * (1 - price)).quantize(CENT, ROUND_CEILING)
