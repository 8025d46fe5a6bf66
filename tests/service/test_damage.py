"""state.json is damaged and the service starts again: nothing is lost, doubled, or bought before it is explained."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from e2e.program import SMALL, document, evenkeel, log, state
from evenkeel.engine import slots
from evenkeel.journal import recent, verify_audit
from evenkeel.service import loop, recovery, session
from evenkeel.service.log import open_log
from evenkeel.store import halted, peek, send, set_halt
from evenkeel.types import Brain, Memory, Order, TradingState
from evenkeel.venues.sim import PaperVenue
from laws import world

FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"
HALF_DAY = world.DAY // 2


# ---------------------------------------------------------------- through the program


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that stopped just after the rebalance of its first noon."""
    home = tmp_path_factory.mktemp("stopped") / "home"
    document(evenkeel(home, "run", *SMALL, "--until", "2025-02-10T12:10", "--json"))
    return home


def wounds() -> list[Any]:
    """Ways to damage state.json, by name: (bytes, random) -> bytes, and how many generations suffer the same."""
    cut = {f"cut-{share}": lambda raw, _, s=share: raw[: int(len(raw) * s)] for share in (0.0, 0.01, 0.5, 0.999)}
    flips = {f"flip-{n}": _flip for n in range(8 if FULL else 1)}
    chosen = list({**cut, **flips}.items()) if FULL else [*list(cut.items())[::2], *flips.items()]
    singles = [pytest.param(wound, 0, id=name) for name, wound in chosen]
    return [*singles, *(pytest.param(_flip, n, id=f"flip-and-{n}-generations") for n in ((1, 4, 9) if FULL else (4,)))]


def _flip(raw: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ (1 << rng.randrange(8))]) + raw[place + 1 :]


@pytest.mark.parametrize(("wound", "more"), wounds())
def test_a_damaged_state_is_survived_by_the_program(
    stopped: Path, tmp_path: Path, wound: Callable[..., bytes], more: int, request: pytest.FixtureRequest
) -> None:
    """An earlier generation, the bad file in quarantine, a warning, and the run comes to its proper end."""
    home = tmp_path / "home"
    shutil.copytree(stopped, home, symlinks=True)
    rng = random.Random(request.node.name)
    damaged = [home / "state" / "state.json", *_generations(home)[:more]]
    for path in damaged:
        raw = path.read_bytes()
        path.unlink()
        path.write_bytes(wound(raw, rng))
    lines = len(log(home))

    done = evenkeel(home, "run", *SMALL, "--json")

    found = document(done)
    assert "Traceback" not in done.stderr
    held = list((home / "state" / "quarantine").iterdir())
    assert len(held) == len(damaged)
    assert found["slots"]["risk"]["done"] + found["slots"]["risk"]["failed"] == 192
    assert {kind: sum(counts.values()) for kind, counts in found["slots"].items()} == {
        "risk": 192, "score": 88, "rebalance": 8,
    }  # fmt: skip
    _sound(home)
    told = log(home)[lines:]
    warned = next(line for line in told if line["event"] == "state")
    assert warned["level"] == "warning"
    assert "went back to state.json." in warned["note"]
    events = [line["event"] for line in told]
    assert events.index("state_fell_back") < events.index("state_explained")
    assert all(events.index("state_explained") < at for at, e in enumerate(events) if e in ("order", "decided"))


def test_when_no_file_is_whole_nothing_is_reset(stopped: Path, tmp_path: Path) -> None:
    """Exit 3, one sentence, every byte where it was."""
    home = tmp_path / "home"
    shutil.copytree(stopped, home, symlinks=True)
    for path in (home / "state" / "state.json", *_generations(home)):
        raw = path.read_bytes()
        path.unlink()
        path.write_bytes(raw[:100])
    before = {p.name: p.read_bytes() for p in (home / "state").glob("state.json*")}

    done = evenkeel(home, "run", *SMALL)

    assert done.returncode == 3
    assert done.stderr.startswith("evenkeel: none of the ")
    assert done.stderr.count("\n") == 1
    assert {p.name: p.read_bytes() for p in (home / "state").glob("state.json*")} == before


def test_a_damaged_journal_costs_no_slot(stopped: Path, tmp_path: Path) -> None:
    """The journal is not needed: it goes to quarantine and the run ends with the same orders and positions."""
    home = tmp_path / "home"
    shutil.copytree(stopped, home, symlinks=True)
    (home / "state" / "journal.db").write_bytes(b"no database at all" * 1000)

    found = document(evenkeel(home, "run", *SMALL, "--json"))

    assert {kind: sum(counts.values()) for kind, counts in found["slots"].items()} == {
        "risk": 192, "score": 88, "rebalance": 8,
    }  # fmt: skip
    assert _positions(home) == _balances(home)


def _generations(home: Path) -> list[Path]:
    """Newest first."""
    return sorted((home / "state").glob("state.json.*"), key=lambda p: int(p.name.rpartition(".")[2]), reverse=True)


def _positions(home: Path) -> dict[str, Decimal]:
    memory = state(home)["memory"]
    held = {asset: Decimal(row["units"]) for asset, row in memory["positions"].items()}
    return {"USD": Decimal(memory["cash"]), **held}


def _balances(home: Path) -> dict[str, Decimal]:
    with closing(sqlite3.connect(home / "state" / "paper.db")) as venue:
        rows = venue.execute("select asset, quantity from balances").fetchall()
    return {asset: Decimal(quantity) for asset, quantity in rows if Decimal(quantity)}


def _sound(home: Path) -> None:
    """No slot twice, positions, cash and fees as the venue has them, the audit chain whole, each order told once."""
    rows = recent(home / "state" / "journal.db", "slots", limit=10**9)
    names = [row["slot"] for row in rows]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    assert _positions(home) == _balances(home)
    whole, _ = verify_audit(home / "state" / "journal.db", state(home)["memory"]["audit_hash"])
    assert whole
    ids = [row["id"] for row in recent(home / "state" / "journal.db", "orders", limit=10**9)]
    assert len(ids) == len(set(ids))
    with closing(sqlite3.connect(home / "state" / "paper.db")) as venue:
        bills = dict(venue.execute("select id, fee from orders").fetchall())
    assert bills.keys() <= set(ids)
    assert Decimal(state(home)["memory"]["fees"]) == sum(map(Decimal, bills.values()))


# ---------------------------------------------------------------- the same, file by file and crash by crash


class Watched(PaperVenue):
    """A paper venue at whose calls the program may die."""

    dies_at = ""
    asked = 0

    def fills(self, since: int) -> Any:
        """Die if asked to."""
        if self.dies_at == "fills":
            raise KeyboardInterrupt
        return super().fills(since)

    def holdings(self, time: int, *, urgent: bool = False) -> Any:
        """Die if asked to, after the start was let in."""
        self.asked += 1
        if self.dies_at == "holdings" and self.asked > 1:
            raise KeyboardInterrupt
        return super().holdings(time, urgent=urgent)


@dataclass
class Life:
    """One start of the service in a home: what it logged."""

    home: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def start(self, dies_at: str = "") -> Iterator[Any]:
        """A recovered runner over the small world."""
        market = world.feed(days=3)
        opened: list[Watched] = []

        def broker() -> Watched:
            opened.append(world.venue(market, self.home / "state" / "paper.db", kind=Watched))
            opened[-1].dies_at = dies_at
            return opened[-1]

        out = open_log(self.home, level="info", rotate_mb=50, keep=1, bound={})
        at = len(log(self.home))
        try:
            with session.session(
                self.home, world.memory(), market, broker, Brain(), world.RULES, out,
                wall=lambda: 0.0, finished=lambda _: False,
            ) as runner:  # fmt: skip
                yield runner
        finally:
            self.lines = log(self.home)[at:]
            for venue in opened:
                venue.close()

    def run(self, until_: int) -> Memory:
        """Start, replay up to a time, stop."""
        with self.start() as runner:
            loop.replay(runner, world.START, until_, world.CADENCE, stop=threading.Event())
            return runner.store.memory


def _busiest(*, first: bool) -> int:
    """Time of the trading slot with the most orders: the very first one, or the busiest of the second day."""
    if first:
        return world.START
    rows = [r["time"] for r in world.backtested(days=2).orders if r["kind"] != "risk" and r["time"] > world.START]
    return max(rows, key=lambda time: (rows.count(time), time))


@pytest.fixture(scope="module", params=[pytest.param("first", marks=pytest.mark.slow), "later"])
def busy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A home that has just ended a slot with orders, and that slot's time."""
    home, time = tmp_path_factory.mktemp("busy") / "home", _busiest(first=request.param == "first")
    Life(home).run(time + 1)
    return home, time


def _wounded(home: Path, to: Path, generations: int) -> Path:
    """A copy whose state.json and newest `generations` are cut in half."""
    shutil.copytree(home, to)
    for path in (to / "state" / "state.json", *_generations(to)[:generations]):
        raw = path.read_bytes()
        path.unlink()
        path.write_bytes(raw[: len(raw) // 2])
    return to


def _forget_last_record(home: Path) -> None:
    """The journal as if the process had died before its last row was written."""
    path = home / "state" / "journal.db"
    with closing(sqlite3.connect(path)) as journal:
        tables = [name for (name,) in journal.execute("select name from sqlite_master where type = 'table'")]
        last = max(journal.execute(f"select coalesce(max(sequence), 0) from {t}").fetchone()[0] for t in tables)
        for table in tables:
            journal.execute(f"delete from {table} where sequence = ?", (last,))
        journal.commit()


def _all_ended_once(home: Path, end: int) -> None:
    """Every slot of the grid stands in the journal once."""
    wanted = [slot.id for slot in slots.between(world.START, end, world.CADENCE)]
    names = [row["slot"] for row in recent(home / "state" / "journal.db", "slots", limit=10**9)]
    assert sorted(names) == sorted(wanted)
    counts = peek(home).memory.counts
    assert sum(sum(kind.values()) for kind in counts.values()) == len(wanted)


@pytest.mark.parametrize("unwritten", [False, True], ids=["journal", "unwritten-row"])
@pytest.mark.parametrize("generations", range(10) if FULL else (0, 1, 2, 4, 7, 8, 9))
def test_any_number_of_lost_generations_is_survived(busy, tmp_path: Path, generations: int, unwritten: bool) -> None:
    """Falling back into, or before, a slot that sent orders: each order once, each slot once, positions the venue's."""
    home, time = _wounded(busy[0], tmp_path / "home", generations), busy[1]
    if unwritten:
        _forget_last_record(home)
    before = _venue_orders(home)

    life = Life(home)
    with life.start() as runner:
        memory = runner.store.memory
        assert memory.trading_state is TradingState.ACTIVE
        assert not memory.open_slots
        assert _as_held(memory) == _balances(home)
    assert _venue_orders(home)[: len(before)] == before
    end = time + HALF_DAY // 2
    life.run(end)

    _sound(home)
    _all_ended_once(home, end)


@pytest.mark.parametrize("generations", [0, 3, 9])
@pytest.mark.parametrize("dies_at", ["fills", "holdings", *range(1, 8 if FULL else 4)])
def test_a_crash_in_the_middle_of_recovery_is_recovered_from(
    busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generations: int, dies_at: str | int
) -> None:
    """Killed at the venue's answer, or just after the n-th durable change: the next start ends the recovery."""
    home = _wounded(busy[0], tmp_path / "home", generations)
    _forget_last_record(home)
    with monkeypatch.context() as patch:
        if isinstance(dies_at, int):
            _die_after_commit(patch, dies_at)
        with pytest.raises(KeyboardInterrupt), Life(home).start(dies_at if isinstance(dies_at, str) else ""):
            raise KeyboardInterrupt  # recovery needed fewer changes than that
    if isinstance(dies_at, str):
        assert recovery.recovering(peek(home).memory)
        assert peek(home).memory.trading_state is TradingState.REDUCING

    end = busy[1] + HALF_DAY // 2
    Life(home).run(end)

    assert peek(home).memory.trading_state is TradingState.ACTIVE
    _sound(home)
    _all_ended_once(home, end)


def _die_after_commit(patch: pytest.MonkeyPatch, number: int) -> None:
    from evenkeel.store import Store

    commit, count = Store.commit, itertools.count(1)

    def dying(self: Any, *words: Any, **more: Any) -> Any:
        memory = commit(self, *words, **more)
        if next(count) == number:
            raise KeyboardInterrupt
        return memory

    patch.setattr(Store, "commit", dying)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [("halt", TradingState.HALTED), ("reduce", TradingState.REDUCING), ("flatten", TradingState.REDUCING)],
)
@pytest.mark.parametrize("lost", [True, False], ids=["command-lost", "command-kept"])
def test_what_a_person_commanded_outlives_the_state_that_knew_it(
    busy, tmp_path: Path, command: str, wanted: TradingState, lost: bool
) -> None:
    """The journal's audit remembers a halt that the older generation does not."""
    home = tmp_path / "calm"
    shutil.copytree(busy[0], home)
    with Life(home).start() as runner:
        send(home, command, "I said so", wall_time=1.0)
        runner.obey(busy[1])
        if not lost:
            runner.store.commit(lambda m: m)
    wounded = _wounded(home, tmp_path / "home", 0)

    with Life(wounded).start() as runner:
        memory = runner.store.memory
        assert memory.trading_state is wanted
        assert memory.flatten is (command == "flatten")
        assert memory.state_reason == f"{command}: I said so"
    if command == "halt":
        orders = _venue_orders(wounded)
        Life(wounded).run(busy[1] + HALF_DAY)
        assert _venue_orders(wounded) == orders
    _sound(wounded)


def test_a_halted_state_stays_halted_through_a_recovery_that_crashes(busy, tmp_path: Path) -> None:
    """HALTED before, HALTED in the middle, HALTED after, with its reason."""
    home = tmp_path / "calm"
    shutil.copytree(busy[0], home)
    with Life(home).start() as runner:
        runner.store.commit(lambda m: replace(m, trading_state=TradingState.HALTED, state_reason="halt: mine | x"))
        runner.store.commit(lambda m: m)
    wounded = _wounded(home, tmp_path / "home", 0)

    with pytest.raises(KeyboardInterrupt), Life(wounded).start("holdings"):
        pass
    assert peek(wounded).memory.trading_state is TradingState.HALTED
    with Life(wounded).start() as runner:
        assert runner.store.memory.trading_state is TradingState.HALTED
        assert runner.store.memory.state_reason == "halt: mine | x"


def test_the_marker_wins_over_a_recovery(busy, tmp_path: Path) -> None:
    """state/HALT is there: nothing is sent by a slot that is resumed."""
    home = _wounded(busy[0], tmp_path / "home", 9)
    set_halt(home, "stop", wall_time=1.0)
    before = _venue_orders(home)

    Life(home).run(busy[1] + HALF_DAY)

    assert halted(home)
    assert _venue_orders(home) == before
    assert peek(home).memory.trading_state is TradingState.HALTED


def test_a_foreign_fill_is_shown_and_adopted(busy, tmp_path: Path) -> None:
    """Somebody else's order on the account: named foreign, its units adopted with an unknown basis."""
    home = _wounded(busy[0], tmp_path / "home", 1)
    market = world.feed(days=3)
    other = world.venue(market, home / "state" / "paper.db")
    other.send(Order("by-hand", "", 0, "PAXG", Decimal("0.01"), "HAND"), busy[1] + 1)
    other.close()

    life = Life(home)
    with life.start() as runner:
        assert _as_held(runner.store.memory) == _balances(home)
    verdicts = {line["order"]: line["verdict"] for line in life.lines if line["event"] == "venue_fill_explained"}
    assert verdicts["by-hand"] == "foreign"
    adopted = [line for line in life.lines if line["event"] == "reconciled"]
    assert {line["asset"] for line in adopted} == {"PAXG", "USD"}


def test_a_journal_ahead_of_a_restored_backup_is_noticed(busy, tmp_path: Path) -> None:
    """An old state.json put back alone, no generation left: the journal's ledger is taken over all the same."""
    home = tmp_path / "home"
    shutil.copytree(busy[0], home)
    old = _generations(home)[-1].read_bytes()
    for path in (home / "state" / "state.json", *_generations(home)):
        path.unlink()
    (home / "state" / "state.json").write_bytes(old)

    end = busy[1] + HALF_DAY
    life = Life(home)
    life.run(end)

    assert any(line["event"] == "state_fell_back" for line in life.lines)
    _sound(home)
    _all_ended_once(home, end)


def _as_held(memory: Memory) -> dict[str, Decimal]:
    return {"USD": memory.cash, **{asset: held.units for asset, held in memory.positions.items()}}


def _venue_orders(home: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "state" / "paper.db")) as venue:
        return venue.execute("select number, id, quantity, price from orders order by number").fetchall()
