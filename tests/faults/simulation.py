"""One simulated life: the real service on a simulated disk, venue, market and clock, killed and started again.

    history = live(seed)              # everything that happened; `checker.broken(history)` judges it

Real are `service.loop`, `Runner`, the protocol, the decision, store, journal and, with numbers, Roostoo's client.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import orjson

from evenkeel.engine import protocol, slots
from evenkeel.engine.parents import Desk
from evenkeel.engine.slots import Cadence
from evenkeel.errors import EvenkeelError
from evenkeel.journal import Journal, recent, verify_audit
from evenkeel.portfolio.schedule import ScheduleSettings
from evenkeel.sandbox.faults import Fault
from evenkeel.service.loop import LANES, Service
from evenkeel.service.runner import Runner
from evenkeel.store import Store, clear_halt, halted, send, set_halt
from evenkeel.store.shelf import STATE
from evenkeel.types import Brain, Identity, Intent, Memory, Slot, SlotKind
from faults.clockwork import Clockwork, Crash, Points, draw
from faults.history import Committed, Crashed, Ending, Flow, History, Leg, Socket
from faults.memdisk import MemoryDisk
from faults.named import Named
from faults.numbered import Cable, Numbered, account
from faults.quiet import quiet
from faults.stage import Stage, Touches, small
from faults.trouble import Trouble

IDENTITY = Identity("simulated", "account", "real", "")
CAPITAL = Decimal(100_000)
SETTLE_S = 20
AIMS = (("", 400), ("disk", 400), ("disk replace", 30), ("venue", 80), ("venue place_order", 10), ("journal", 20))
"""Where death is aimed at, and how many of these places it passes at most."""


@dataclass(frozen=True)
class Profile:
    """What a life is like.

    named    the venue keeps our order ids · slots  how many quarters of an hour it lasts
    bad      share of calls that the wire spoils · crashes  most deaths · people  how many deeds of people and markets
    jumps    whether our clock jumps · power  share of deaths that take the power with them
    style    market = all at once, limit = rest and then cross, twap = in slices
    disk     share of disk steps that fail with EIO or ENOSPC
    wake_s, ask_s  how often each lane looks at the clock, and somebody for lost answers
    """

    named: bool = False
    slots: int = 12
    bad: float = 0.2
    crashes: int = 4
    people: int = 5
    jumps: bool = True
    power: float = 0.5
    disk: float = 0.002
    style: Literal["market", "limit", "twap"] = "market"
    wake_s: int = 60
    ask_s: float = 10.0


class Watched(Store):
    """The real store; every commit that returns is history."""

    history: History

    def commit(self, *args: Any, **named: Any) -> Memory:
        """As the real one."""
        memory = super().commit(*args, **named)
        self.history.events.append(committed(memory))
        return memory


class Diary(Journal):
    """The real journal; the process may die before and after each transaction."""

    points: Points

    def _insert(self, statements: Any) -> None:
        self.points.at("journal begin")
        super()._insert(statements)
        self.points.at("journal end")


def committed(memory: Memory) -> Committed:
    """What a commit says that concerns the venue."""
    legs = {intent.order.id: _leg(intent) for step in memory.open_slots for intent in step.intents}
    return Committed(legs, memory.trading_state.value, tuple(memory.quarantined))


def _leg(intent: Intent) -> Leg:
    order, venue = intent.order, intent.trace.venue if intent.trace else ""
    return Leg(order.asset, intent.status.value, venue, intent.note, order.quantity)


class Life:
    """A home, a venue and a service that comes and goes."""

    def __init__(self, seed: int, profile: Profile, home: Path, stage: Stage | None = None) -> None:
        self.seed, self.profile, self.home = seed, profile, home
        self.stage = stage or small(seed)
        self.dice = draw(seed, "life")
        self.clock, self.points, self.history = Clockwork(self.stage.start + 1), Points(), History()
        self.trouble = Trouble(seed, profile.bad)
        self.account = account(self.clock, self.stage.market, CAPITAL)
        self.disk = MemoryDisk(self._around)
        self.disk_dice = draw(seed, "disk")
        self.journal: Diary | None = None
        self.service: Service | None = None
        self.deaths = 0
        self.letters = False

    # ---------------------------------------------------------------- the process

    def boot(self) -> None:
        """Start as `service.session` does, and wake the lanes from now on."""
        (self.home / "state").mkdir(exist_ok=True)
        store = Watched.open(self.home, IDENTITY, now=lambda: int(self.clock.wall()), disk=self.disk)
        store.history = self.history
        loaded = store.load()
        if loaded.memory is None:
            store.begin(Memory(IDENTITY, origin=self.stage.start - 86_400))
        self.history.events.append(committed(store.memory))
        self.journal = Diary.open(self.home / "state" / "journal.db", durable=False)
        self.journal.points = self.points
        stage, wall = self.stage, self.clock.wall
        runner = Runner(
            self.home, store, self.journal, stage.feed, self._broker(), Brain(), stage.rules, quiet(), wall,
            expired=self._expired, clock=lambda _: wall(), desk=self._desk(),
        )  # fmt: skip
        runner.recover(fell_back=loaded.fell_back)
        self.service = Service(
            runner, stage.cadence, settle_s=SETTLE_S, now=wall, stop=threading.Event(), steady=lambda: self.clock.now
        )
        self.letters = True
        self._wake()

    def _desk(self) -> Desk | None:
        """How orders of trading slots are sent: over time where the profile has a style."""
        if self.profile.style == "market":
            return None
        rules, market = self.stage.rules, Touches(self.stage.market, lambda: self.clock.now)
        sending = ScheduleSettings(style=self.profile.style, over_s=900, slices=4, maker_s=300)
        return Desk(sending, {pair.asset: pair for pair in rules.pairs}, rules.costs, market)

    def _broker(self) -> Any:
        if self.profile.named:
            return Named(self.account, self.points, self.trouble, self._left)
        return Numbered(Cable(self.account, self.points, self.trouble, self._left))

    def _expired(self, slot: Slot) -> bool:
        return (slot, "") not in slots.due(slot.time - 1, slot.kind, int(self.clock.wall()), self.stage.cadence)

    def _wake(self) -> None:
        """The lanes, now and again; each looks at the clock itself."""
        service = self.service
        if service is None:
            return
        self.clock.at(self.clock.now + self.profile.wake_s, self._wake, owner="process")
        lanes = list(LANES)
        self.dice.shuffle(lanes)
        for name in lanes:
            service._lane(name)
        self._stopped(service)

    def ask(self) -> None:
        """What APScheduler does every ten seconds: look for lost answers, take commands."""
        service = self.service
        if service is None:
            return
        if protocol.unanswered(service._runner.store.memory):
            service._ask()
        if self.letters:
            self.letters = False
            service._guarded(service._runner.obey, int(self.clock.wall()))
        service._go_on()
        if service._runner.store.memory.flatten and not service._lanes["risk"].locked():
            service._guarded(service._flatten)
        self._stopped(service)

    def _stopped(self, service: Service) -> None:
        if service._fault is not None and service is self.service:
            raise Crash(f"gave up: {type(service._fault).__name__}")

    def write(self, word: str) -> None:
        """A person's command."""
        send(self.home, word, "a person", wall_time=self.clock.wall())
        self.letters = True

    def die(self, crash: Crash) -> None:
        """The process is gone, and perhaps the power with it."""
        self.deaths += 1
        self.history.events.append(Crashed(str(crash)))
        self.service = None
        self.clock.forget("process")
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        if self.dice.random() < self.profile.power:
            self.disk.lose_power(self.disk_dice)

    # ---------------------------------------------------------------- seams

    def _around(self, verb: str, path: Path) -> None:
        name = STATE if path.name == STATE else "generation" if path.name.startswith(f"{STATE}.") else path.name
        name = "temporary" if path.name.endswith(".tmp") else name
        if self.service is not None and not self.trouble.calm and self.disk_dice.random() < self.profile.disk:
            raise OSError(*self.disk_dice.choice(((5, "Input/output error"), (28, "No space left on device"))))
        self.points.at(f"disk {verb} {name}")

    def _left(self, id_: str, asset: str, quantity: Decimal) -> None:
        durable = id_ in _sent(self.disk.durable(self.home / "state" / STATE))
        self.history.events.append(Socket(id_, asset, quantity, durable, halted(self.home), self.clock.skew))

    # ---------------------------------------------------------------- the course of a life

    def run(self) -> None:
        """From the first start to the end of the troubles."""
        people = draw(self.seed, "people")
        end = self.stage.start + self.profile.slots * self.stage.cadence.risk
        for _ in range(self.profile.people):
            moment = people.uniform(self.stage.start, end)
            self.clock.at(moment, lambda: deed(self, people))
        while self.clock.now < end:
            self.points.aim, far = self.dice.choice(AIMS)
            self.points.left = self.dice.randrange(1, far) if self.deaths < self.profile.crashes else -1
            self._alive_until(end)

    def _alive_until(self, end: float) -> None:
        """Boot, and let time pass until death or the end."""
        try:
            self.boot()
            while self.clock.now < end:
                self.clock.elapse(self.profile.ask_s)
                self.ask()
        except Crash as crash:
            self._after(crash)
        except EvenkeelError as error:  # the command ends with a sentence, and whoever supervises it starts it again
            self._after(Crash(f"gave up: {type(error).__name__}"))

    def _after(self, crash: Crash) -> None:
        """Death, then a while without us: mostly seconds, sometimes hours."""
        self.die(crash)
        away = self.dice.choice((1.0, 5.0, 40.0, 700.0, 4_000.0))
        self.points.left = -1
        self.clock.elapse(away)

    def settle(self) -> None:
        """The troubles end: start once more, look twice, let every question be answered; a person says resume."""
        self.trouble.calm, self.points.left, self.stage.feed.dark = True, -1, False
        if self.service is not None:
            self.die(Crash("asked to stop"))
        self.clock.elapse(120.0)
        self.clock.skew = 0.0
        self.boot()
        self.ask()
        self.history.unbound_after_two = self._not_understood()
        self._pass(400.0)
        clear_halt(self.home)
        self.write("resume")
        self.ask()
        late = self.clock.now % self.stage.cadence.rebalance
        self._pass(self.stage.cadence.rebalance - late + 120.0)
        self._pass(self.stage.cadence.risk)

    def _pass(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.elapse(10.0)
            self.ask()

    def _not_understood(self) -> tuple[str, ...]:
        """Orders of ours at the venue that no leg is bound to, though the venue was asked twice.

        Not those sent by a clock that was wrong: they do not fit their time, and wait for a person (ALIKE).
        """
        bound = {
            leg.venue for event in self.history.events if isinstance(event, Committed) for leg in event.legs.values()
        }
        memory = self.memory()
        open_ = {i.order.id: i.order.asset for step in memory.open_slots for i in step.intents}
        waiting = {id_ for id_, asset in open_.items() if asset not in memory.quarantined} - self._given_up()
        wrong = {e.id for e in self.history.events if isinstance(e, Socket) and abs(e.skew) > protocol.PROOF.skew_s}
        return tuple(t.tag for t in self.account.trades() if t.tag in waiting - wrong and t.number not in bound)

    def _given_up(self) -> set[str]:
        """Legs that were once called ambiguous: a person may have said resume meanwhile."""
        commits = [event for event in self.history.events if isinstance(event, Committed)]
        return {id_ for commit in commits for id_, leg in commit.legs.items() if leg.note.startswith("AMBIGUOUS")}

    def memory(self) -> Memory:
        """What the living service remembers."""
        assert self.service is not None
        return self.service._runner.store.memory

    def told(self) -> History:
        """The history with its ending."""
        memory, path = self.memory(), self.home / "state" / "journal.db"
        rows = recent(path, "slots", limit=10**6, columns=("slot", "kind", "time"))
        fills: Counter[str] = Counter()
        for row in recent(path, "fills", limit=10**6, columns=("order_id", "quantity")):
            fills[row["order_id"]] += Decimal(row["quantity"])  # type: ignore[assignment]
        counts = Counter(row["slot"] for row in rows)
        self.history.ending = Ending(
            opening=CAPITAL,
            remembered={"USD": memory.cash or Decimal(0)} | {a: p.units for a, p in memory.positions.items()},
            venue=self.account.wealth(),
            trades=self.account.trades(),
            fills=dict(sorted(fills.items())),  # type: ignore[arg-type]
            quarantined=tuple(memory.quarantined),
            seconds=tuple(slot for slot, n in counts.items() if n > 1),
            missing=tuple(_missing(rows, memory, self.stage.cadence)),
            open=tuple(i.order.id for step in memory.open_slots for i in step.intents if not i.status.resolved),
            chain=verify_audit(path, memory.audit_hash)[0],
        )
        return self.history


def _missing(rows: list[dict[str, Any]], memory: Memory, cadence: Cadence) -> list[str]:
    """Slots of the grid between the first and the newest of their kind that have no end."""
    ended = {(row["kind"], row["time"]) for row in rows}
    missing = []
    for kind in SlotKind:
        times = [time for found, time in ended if found == kind.value and time % cadence.of(kind) == 0]
        if times:
            grid = slots.between(min(times), memory.watermarks[kind.value] + 1, cadence)
            missing += [slot.id for slot in grid if slot.kind is kind and (kind.value, slot.time) not in ended]
    return missing


def _sent(raw: bytes) -> set[str]:
    """Ids of the legs that a state file says are SENT."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            order = value.get("order")
            if isinstance(order, dict) and value.get("status") == "SENT":
                found.add(order["id"])
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    walk(orjson.loads(raw)["memory"]["open_slots"] if raw else [])
    return found


def deed(life: Life, dice: random.Random) -> None:
    """One thing that people, markets or clocks do."""
    now, wall = life.clock.now, life.clock.wall()
    asset = dice.choice(life.stage.rules.pairs).asset
    kind = dice.choice(("flow", "hand", "twin", "rest", "strike", "halt", "command", "clock", "dark"))
    if kind == "flow":
        cash = Decimal(dice.randrange(-60_000, 30_000))
        if life.account.move(cash):
            life.history.events.append(Flow(cash))
    elif kind in ("hand", "twin", "rest"):
        _by_hand(life, dice, kind, asset)
    elif kind == "strike":
        fault = (
            Fault("suspend", asset=asset) if dice.random() < 0.5 else Fault("precision", asset=asset, amount_decimals=0)
        )
        life.trouble.strikes.append((now, now + dice.uniform(60, 5_000), fault))
    elif kind == "halt":
        set_halt(life.home, "a person", wall_time=wall)
        life.clock.at(now + dice.uniform(10, 2_000), lambda: _resume(life))
    elif kind == "command":
        life.write(dice.choice(("reduce", "resume", "flatten", "halt")))
        life.clock.at(now + dice.uniform(10, 2_000), lambda: _resume(life))
    elif kind == "clock" and life.profile.jumps:
        life.clock.skew += dice.choice((-3_600.0, -120.0, 15.0, 120.0, 3_600.0))
        life.clock.at(now + dice.uniform(10, 2_000), lambda: setattr(life.clock, "skew", 0.0))
    elif kind == "dark":
        life.stage.feed.dark = not life.stage.feed.dark


def _by_hand(life: Life, dice: random.Random, kind: str, asset: str) -> None:
    """A person trades on our account: anything, the very order that we just sent, or a limit order that rests."""
    sockets = [event for event in life.history.events if isinstance(event, Socket)]
    if kind == "twin" and sockets:
        life.account.by_hand(sockets[-1].asset, sockets[-1].quantity)
    elif kind == "rest":
        price = Decimal(repr(life.stage.market.last(asset, life.clock.now))) * Decimal("0.5")
        places = Decimal(1).scaleb(-life.stage.market.pair(asset).price_decimals)
        life.account.by_hand(asset, Decimal(dice.randrange(1, 9)), price.quantize(places))
    else:
        life.account.by_hand(asset, Decimal(dice.choice((-3, -1, 1, 2))))


def _resume(life: Life) -> None:
    clear_halt(life.home)
    life.write("resume")


def live(seed: int, profile: Profile | None = None, points: Counter[str] | None = None) -> History:
    """A whole life. points  adds up where it died, and what it met."""
    home = Path(tempfile.mkdtemp(prefix="life", dir=memory_folder()))
    life = Life(seed, profile or Profile(named=seed % 3 == 0), home)
    try:
        life.run()
        life.settle()
        return life.told()
    finally:
        if life.journal is not None:
            life.journal.close()
        if points is not None:
            points.update(life.points.deaths)
        shutil.rmtree(home)


def memory_folder() -> Path | None:
    """Where files cost no disk, if this machine has such a place."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None
