"""One simulated life: the real service on a simulated disk, venue, market and clock, killed and started again.

    history = live(seed)              # everything that happened; `checker.broken(history)` judges it

Real are `service.loop`, `Runner`, the protocol, the decision, store, journal and, with numbers, Roostoo's client.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from evenkeel.engine import protocol, slots
from evenkeel.engine.parents import Desk
from evenkeel.errors import EvenkeelError
from evenkeel.portfolio.breakers import BreakerSettings
from evenkeel.portfolio.schedule import ScheduleSettings
from evenkeel.service.loop import LANES, Service
from evenkeel.service.runner import Runner
from evenkeel.service.watch import Expectation, Watched
from evenkeel.store import clear_halt, halted, send
from evenkeel.store.shelf import STATE
from evenkeel.types import Brain, Identity, Memory, Pair, Slot, SlotKind
from faults import ending, people
from faults.account import account
from faults.clockwork import Clockwork, Crash, Points, draw
from faults.history import Crashed, History, Socket
from faults.memdisk import MemoryDisk
from faults.named import Named
from faults.numbered import Cable, Numbered
from faults.quiet import quiet
from faults.stage import Stage, Touches, small
from faults.trouble import Trouble
from faults.witness import Diary, Kept, Witness, committed, sent

IDENTITY = Identity("simulated", "account", "real", "")
CAPITAL = Decimal(100_000)
SETTLE_S = 20
AIMS = (("", 400), ("disk", 400), ("disk replace", 30), ("venue", 80), ("venue place_order", 10), ("journal", 20))
"""Where death is aimed at, and how many of these places it passes at most."""
_SLOW = 5
"""A disk is so much more often slow than it fails."""


@dataclass(frozen=True)
class Profile:
    """What a life is like.

    named    the venue keeps our order ids · slots  how many quarters of an hour it lasts
    bad      share of calls that the wire spoils · crashes  most deaths · people  how many deeds of people and markets
    jumps    whether our clock jumps · power  share of deaths that take the power with them
    style    bare = at once, as in a replay; else as `execution.style` has it
    disk     share of disk steps that fail with EIO or ENOSPC; a flush may take half a minute, too
    storms   how often the venue is deaf or slow for a while · breakers  what it is judged by; None = by nothing
    crowd    share of resting orders that somebody trades with · parts  share of orders that are filled in parts
    asks_rules  whether the service asks what the venue allows, as it does live
    wake_s, ask_s  how often each lane looks at the clock, and somebody for lost answers · jitter  share of both
    leaps    share of quarters of an hour in which a coin leaps
    """

    named: bool = False
    slots: int = 12
    bad: float = 0.2
    crashes: int = 4
    people: int = 5
    jumps: bool = True
    power: float = 0.5
    disk: float = 0.002
    style: Literal["bare", "market", "limit", "twap", "vwap"] = "bare"
    storms: int = 0
    breakers: BreakerSettings | None = None
    crowd: float = 0.0
    parts: float = 0.0
    asks_rules: bool = False
    wake_s: int = 60
    ask_s: float = 10.0
    jitter: float = 1.0
    leaps: float = 0.02


class Life:
    """A home, a venue and a service that comes and goes."""

    def __init__(self, seed: int, profile: Profile, home: Path, stage: Stage | None = None) -> None:
        self.seed, self.profile, self.home = seed, profile, home
        self.stage = stage or small(seed, profile.leaps)
        self.dice = draw(seed, "life")
        self.clock, self.points = Clockwork(self.stage.start + 1), Points()
        self.history = History(breakers=profile.breakers)
        self.trouble = Trouble(seed, profile.bad)
        crowd = {"crowd": profile.crowd, "parts": profile.parts}
        self.account = account(self.clock, self.stage.market, CAPITAL, draw(seed, "crowd"), **crowd)
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
        store = Kept.open(self.home, IDENTITY, now=lambda: int(self.clock.wall()), disk=self.disk)
        store.told = self._committed
        loaded = store.load()
        if loaded.memory is None:
            store.begin(Memory(IDENTITY, origin=self.stage.start - 86_400))
        self._committed(store.memory)
        self.journal = Diary.open(self.home / "state" / "journal.db", durable=False)
        self.journal.points = self.points
        stage, wall, broker = self.stage, self.clock.wall, Witness(self._broker(), self.account, self.history)
        watch = self._watched(broker, store.memory)
        runner = Runner(
            self.home, store, self.journal, stage.feed, watch or broker, Brain(), stage.rules, quiet(), wall,
            expired=self._expired, clock=lambda _: wall(), desk=self._desk(), watch=watch,
            lister=broker if self.profile.asks_rules else None,  # type: ignore[arg-type] - what is behind it tells them
        )  # fmt: skip
        runner.relist()
        runner.recover(fell_back=loaded.fell_back)
        self.service = Service(
            runner, stage.cadence, settle_s=SETTLE_S, now=wall, stop=threading.Event(), steady=lambda: self.clock.now
        )
        self.letters = True
        self._wake()

    def _desk(self) -> Desk | None:
        """How orders of trading slots are sent: over time where the profile has a style."""
        if self.profile.style == "bare":
            return None
        sending = ScheduleSettings(style=self.profile.style, over_s=900, slices=4, maker_s=300)
        return Desk(sending, self._pairs(), self.stage.rules.costs, self._touches())

    def _watched(self, broker: Any, memory: Memory) -> Watched | None:
        """The broker under circuit breakers."""
        if self.profile.breakers is None:
            return None
        costs, timer = self.stage.rules.costs, lambda: self.clock.now
        expected = Expectation(self.profile.breakers, costs, self._pairs(), self._touches(), self.clock.wall, timer)
        return Watched(broker, expected, memory)

    def _pairs(self) -> dict[str, Pair]:
        return {pair.asset: pair for pair in self.stage.rules.pairs}

    def _touches(self) -> Touches:
        return Touches(self.stage.market, lambda: self.clock.now)

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
        self.clock.at(self.clock.now + self._about(self.profile.wake_s), self._wake, owner="process")
        lanes = list(LANES)
        self.dice.shuffle(lanes)
        for name in lanes:
            service._lane(name)
        self._stopped(service)

    def _about(self, seconds: float) -> float:
        """When a scheduler that is asked to wake us after so long really does."""
        return seconds * (1.0 + self.profile.jitter * (self.dice.random() - 0.5))

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

    def _committed(self, memory: Memory) -> None:
        self.history.events.append(committed(memory, int(self.clock.wall())))

    def _around(self, verb: str, path: Path) -> None:
        name = STATE if path.name == STATE else "generation" if path.name.startswith(f"{STATE}.") else path.name
        name = "temporary" if path.name.endswith(".tmp") else name
        if self.service is not None and not self.trouble.calm and self.disk_dice.random() < self.profile.disk:
            raise OSError(*self.disk_dice.choice(((5, "Input/output error"), (28, "No space left on device"))))
        if verb == "sync begin" and not self.trouble.calm and self.disk_dice.random() < _SLOW * self.profile.disk:
            self.clock.skip(30.0)  # whoever waits for the disk holds the state's lock
        self.points.at(f"disk {verb} {name}")

    def _left(self, id_: str, asset: str, quantity: Decimal, limit: bool) -> None:
        durable = id_ in sent(self.disk.durable(self.home / "state" / STATE))
        self.history.events.append(Socket(id_, asset, quantity, durable, halted(self.home), self.clock.skew, limit))

    # ---------------------------------------------------------------- the course of a life

    def run(self) -> None:
        """From the first start to the end of the troubles."""
        dice = draw(self.seed, "people")
        end = self.stage.start + self.profile.slots * self.stage.cadence.risk
        for _ in range(self.profile.people):
            self.clock.at(dice.uniform(self.stage.start, end), lambda: people.deed(self, dice))
        for _ in range(self.profile.storms):
            self.clock.at(dice.uniform(self.stage.start, end), lambda: people.storm(self, dice))
        while self.clock.now < end:
            self.points.aim, far = self.dice.choice(AIMS)
            self.points.left = self.dice.randrange(1, far) if self.deaths < self.profile.crashes else -1
            self._alive_until(end)

    def _alive_until(self, end: float) -> None:
        """Boot, and let time pass until death or the end."""
        try:
            self.boot()
            while self.clock.now < end:
                self.clock.elapse(self._about(self.profile.ask_s))
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
        self._pass(400.0)
        clear_halt(self.home)
        self.write("resume")
        self.ask()
        every = self.stage.cadence.rebalance
        spent = self.memory().watermarks.get(SlotKind.REBALANCE.value, 0)  # by a clock that was ahead
        self._pass(max(self.clock.now // every * every, spent) + every + 120.0 - self.clock.now)
        self._pass(self.stage.cadence.risk)
        for _ in range(12):  # two hours, for what is still under way and for breakers that were asked late
            self._pass(600.0 * bool(self.memory().open_slots or self.memory().trips))

    def _pass(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.elapse(10.0)
            self.ask()

    def memory(self) -> Memory:
        """What the living service remembers."""
        assert self.service is not None
        return self.service._runner.store.memory

    def told(self) -> History:
        """The history with its ending."""
        self.history.ending = ending.of(self.account, self.memory(), self.home, self.stage.cadence, CAPITAL)
        return self.history


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
