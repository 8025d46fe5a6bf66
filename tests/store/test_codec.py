"""What is written is what is read, and nothing else is read."""

from __future__ import annotations

import json
import math
import time
from decimal import Decimal
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import StateError
from evenkeel.store import dumps, from_json, to_json
from evenkeel.store.layout import MemoryLayout, layout
from evenkeel.types import Contract, Intent, Memory, Pair, Position, Quotes, Record

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)


def typed(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, the awkward ones included."""
    if hint is Any:
        return JSON
    simple = {str: NAMES, int: st.integers(-(2**60), 2**60), float: st.floats(), Decimal: DECIMALS}
    if hint in simple:
        return simple[hint]
    arguments = getattr(hint, "__args__", ())
    if type(None) in arguments:
        return st.none() | typed(arguments[0])
    if arguments and getattr(hint, "__origin__", None) is tuple:
        return st.lists(typed(arguments[0]), max_size=3).map(tuple)
    if arguments:
        return st.dictionaries(NAMES, typed(arguments[1]), max_size=3)
    if hasattr(hint, "__dataclass_fields__"):
        hints = get_type_hints(hint)
        return st.builds(hint, **{name: typed(hints[name]) for name in hint.__dataclass_fields__})
    return st.from_type(hint)


MEMORIES = typed(Memory)


def through_bytes(obj: Any) -> Any:
    return from_json(type(obj), json.loads(dumps(to_json(obj))))


@given(MEMORIES)
@settings(max_examples=80, deadline=None)
def test_memory_survives_the_round_trip(memory: Memory) -> None:
    """Every field comes back with the same digits, types and order."""
    again = through_bytes(memory)

    assert repr(again) == repr(memory)


@given(MEMORIES)
@settings(max_examples=40, deadline=None)
def test_layout_changes_only_the_lines(memory: Memory) -> None:
    """The readable form is the same JSON, and kept lines are the lines that would be written anew."""
    written = MemoryLayout()
    first, second = written.render(memory), written.render(memory)

    assert first == second
    assert json.loads(first) == json.loads(dumps(to_json(memory)))
    assert json.loads(layout(to_json(memory))) == json.loads(first)


@pytest.mark.parametrize("text", ["1.50", "0E-8", "1E+3", "-0", "0.00000001", "123456789012345678901234567890.1"])
def test_decimal_keeps_its_digits(text: str) -> None:
    """Trailing zeros and exponents come back: a restarted run computes with the same Decimals."""
    position = Position(Decimal(text), None, 0, 0.0)

    assert through_bytes(position).units.as_tuple() == Decimal(text).as_tuple()


def test_nothing_is_not_unknown() -> None:
    """Where None is a value, NaN is written differently from None; infinities survive."""
    base = Contract("T", "E", "BTC", "above", None, math.nan, 0, None, None, Decimal(0), Decimal(0))

    again = through_bytes(base)

    assert again.floor is None
    assert math.isnan(again.cap)
    assert through_bytes(Position(Decimal(0), None, 0, -math.inf)).high == -math.inf
    assert to_json(Position(Decimal(0), None, 0, math.nan))["high"] is None


def test_arrays_and_fixed_tuples_survive() -> None:
    """Arrays come back with their bits and read-only; a pair of text and number keeps its types."""
    row = np.array([0.1, np.nan, np.inf])
    quotes = through_bytes(Quotes(5, row, row, row, row, row))
    pair = Pair("PEPE", "PEPE/USD", 2, 8, 0, Decimal(1), symbols={"perp": ("1000PEPEUSDT", 1000)})

    assert quotes.bid.tobytes() == row.tobytes()
    assert not quotes.bid.flags.writeable
    assert through_bytes(pair) == pair


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"colour": 1}, "memory.colour"),
        ({"origin": "yesterday"}, "memory.origin"),
        ({"origin": True}, "memory.origin"),
        ({"cash": 1.5}, "memory.cash"),
        ({"cash": "NaN"}, "memory.cash"),
        ({"cash": "ten"}, "memory.cash"),
        ({"slots": {}}, "memory.slots"),
        ({"slots": [{"slot": "x"}]}, "memory.slots[0]."),
        ({"trading_state": "ASLEEP"}, "memory.trading_state"),
        ({"trading_state": []}, "memory.trading_state"),
        ({"flatten": 1}, "memory.flatten"),
        ({"positions": {"BTC": {"units": 5, "basis": None, "opened": 1, "high": 1.0}}}, "memory.positions.BTC.units"),
        ({"positions": [1]}, "memory.positions"),
        ({"drawdown_scale": "one"}, "memory.drawdown_scale"),
        ({"identity": None}, "memory.identity"),
        ({"config_digest": 5}, "memory.config_digest"),
    ],
)
def test_wrong_key_is_named_with_its_path(make_memory, change: dict[str, Any], path: str) -> None:
    """Unknown, missing or mistyped: one sentence that says where."""
    data = {**to_json(make_memory()), **change}

    with pytest.raises(StateError, match=path.replace("[", r"\[").replace(".", r"\.")):
        from_json(Memory, data)


def test_missing_key_is_refused_only_without_default(make_memory) -> None:
    """A field that a later version added with a default may be absent; others may not."""
    data = to_json(make_memory())
    del data["regime"]
    assert from_json(Memory, data).regime.label == "chop"
    del data["origin"]

    with pytest.raises(StateError, match=r"memory\.origin is missing"):
        from_json(Memory, data)


def test_money_that_is_not_finite_is_never_written() -> None:
    """A NaN amount is an error where it is written, not where it is read."""
    with pytest.raises(StateError, match="no amount"):
        to_json(Position(Decimal("NaN"), None, 0, 0.0))


def test_unknown_kinds_are_refused() -> None:
    """The codec says no to what it does not know instead of guessing."""
    with pytest.raises(TypeError):
        dumps({"x": object()})
    assert dumps({"b": Decimal("1.50"), "a": np.float64(2)}, ordered=True) == b'{"a":2.0,"b":"1.5"}'


def test_record_survives(make_memory) -> None:
    """The outbox holds a Record: it comes back as one."""
    record = Record(3, {"equity": ({"time": 1, "equity": 2.5},), "fills": ()})

    assert through_bytes(record) == record
    assert through_bytes(make_memory().open_slots[0].intents[0]).order.quantity == Decimal("0.001")
    assert isinstance(through_bytes(make_memory().open_slots[0].intents[0]), Intent)


def test_a_full_memory_encodes_fast(make_memory) -> None:
    """66 positions, 200 slots and 60 intents encode in about a millisecond (budget 5 for a busy machine)."""
    memory = make_memory(66, 200, 60)
    to_json(memory)
    best = min(_seconds(lambda: to_json(memory)) for _ in range(20))

    assert best < 0.005


def _seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
