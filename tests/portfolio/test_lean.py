"""What is made quickly is what was asked for: lean dataclasses lose nothing, a kept answer is of the same objects."""

from dataclasses import FrozenInstanceError, dataclass, field
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.lean import changed, kept, lean, maker
from evenkeel.types import Book, Holdings, Identity, Memory, frozen

ASSETS = ("BTC", "ETH")
MEMORY = Memory(Identity("paper", "a", "virtual", "w"), 0)


def book(cash="100", btc="2"):
    return Book(Holdings(0, Decimal(cash), {"BTC": Decimal(btc)}), MEMORY)


def test_the_very_same_objects_are_asked_once():
    asked = []

    @kept
    def once(*given):
        asked.append(given)
        return len(asked)

    a, b = [1], [1]
    assert [once(a), once(a), once(b), once(a), once(a, b), once(a, b)] == [1, 1, 2, 3, 4, 4]


def test_an_error_is_not_kept():
    asked = []

    @kept
    def broken(x):
        asked.append(x)
        raise ValueError("planted")

    for _ in range(2):
        with pytest.raises(ValueError, match="planted"):
            broken(ASSETS)
    assert len(asked) == 2


def test_other_cash_units_or_prices_are_valued_anew():
    price, dearer = frozen(np.array([50.0, 1.0])), frozen(np.array([75.0, 1.0]))
    first = book()

    assert [first.equity(ASSETS, price), first.equity(ASSETS, price), first.equity(ASSETS, dearer)] == [200, 200, 250]
    assert [book(cash="0").equity(ASSETS, price), book(btc="4").equity(ASSETS, price)] == [100, 300]


def test_prices_that_may_still_change_are_valued_anew():
    price, held = np.array([50.0, 1.0]), book()

    assert held.equity(ASSETS, price) == 200
    price[0] = 100.0
    assert held.equity(ASSETS, price) == 300
    assert held.weights(ASSETS, price)[0] == pytest.approx(2 / 3)


def test_weights_that_are_kept_cannot_be_written():
    price = frozen(np.array([50.0, 1.0]))

    with pytest.raises(ValueError, match="read-only"):
        book().weights(ASSETS, price)[0] = 1.0


def test_what_a_lean_dataclass_would_lose_is_refused():
    @dataclass(frozen=True, slots=True)
    class Made:
        rows: list = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Checked:
        row: int = 0

        def __post_init__(self):
            """Checks."""

    for cls in (Made, Checked):
        with pytest.raises(TypeError, match=f"{cls.__name__} has a default_factory or a __post_init__"):
            lean(cls)


def test_a_maker_makes_what_the_class_makes():
    make = maker(Holdings)
    given = {"time": 5, "cash": Decimal(1), "units": {"BTC": Decimal(2)}}

    assert make(**given) == Holdings(**given)
    assert make(5, Decimal(1), {}, locked=Decimal(3)) == Holdings(5, Decimal(1), {}, locked=Decimal(3))
    assert type(make(**given)) is Holdings
    with pytest.raises(FrozenInstanceError):
        make(**given).time = 6
    with pytest.raises(TypeError, match="cash"):
        make(time=5)


def test_a_copy_differs_in_what_was_asked_for_alone():
    before = Holdings(5, Decimal(1), {}, newest=3)
    after = changed(before, cash=Decimal(2), time=6)

    assert after == Holdings(6, Decimal(2), {}, newest=3)
    assert (before.time, before.cash, type(after)) == (5, 1, Holdings)
    assert changed(before) == before
    with pytest.raises(FrozenInstanceError):
        after.time = 7


def test_a_field_that_is_not_there_cannot_be_changed():
    with pytest.raises(AttributeError, match="Holdings has no field coins"):
        changed(Holdings(5, Decimal(1), {}), coins=1)
