"""A small home, a realistic memory, and a clock that stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from evenkeel.store import RealDisk, Store
from evenkeel.types import (
    DayMark,
    Identity,
    Intent,
    Memory,
    OpenSlot,
    Order,
    Position,
    Slot,
    SlotKind,
    SlotOutcome,
)

START = 1_751_328_000
IDENTITY = Identity("roostoo", "main", "real", "")


def _memory(positions: int = 4, slots: int = 6, intents: int = 2) -> Memory:
    slot = Slot(SlotKind.REBALANCE, START)
    orders = (
        Order(f"o{i}", slot.id, i, f"C{i}", Decimal("-1.50") if i % 2 else Decimal("0.001"), "TARGET")
        for i in range(intents)
    )
    return Memory(
        identity=IDENTITY,
        origin=START - 86_400,
        config_digest="c0ffee",
        watermarks={"risk": START, "score": START},
        slots=tuple(
            SlotOutcome(Slot(SlotKind.RISK, START + 900 * i).id, "risk", START + 900 * i, "done", "", START, i)
            for i in range(slots)
        ),
        counts={"risk": {"done": 7}},
        cash=Decimal("1000.10"),
        positions={f"C{i}": Position(Decimal("2.50") + i, Decimal("9.125"), START, 1.1 * i) for i in range(positions)},
        days=(DayMark(START, 1000.1, 1001.7),),
        open_slots=(OpenSlot(slot, START, {"target": [0.1, 0.2]}, tuple(map(Intent, orders))),) if intents else (),
    )


@pytest.fixture
def identity() -> Identity:
    return IDENTITY


@pytest.fixture
def make_memory() -> Callable[..., Memory]:
    return _memory


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[..., Store]:
    def open_(home: Path = tmp_path, identity: Identity = IDENTITY, **options: object) -> Store:
        options.setdefault("disk", RealDisk(durable=False))
        return Store.open(home, identity, now=lambda: START, **options)  # type: ignore[arg-type]

    return open_


@pytest.fixture
def filled(open_store: Callable[..., Store]) -> Callable[..., Store]:
    """A home with five commits: state.json is sequence 5, generations 1 to 4."""

    def fill(memory: Memory | None = None, commits: int = 5, **options: object) -> Store:
        store = open_store(**options)
        store.load()
        store.begin(memory or _memory(), {"holdings": {"BTC": {"weight": 0.1}}})
        for number in range(2, commits + 1):
            store.commit(lambda old, n=number: replace(old, evidence=n))
        return store

    return fill
