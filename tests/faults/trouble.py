"""What goes wrong in a simulated life, drawn from its seed: each call of the venue, its pairs, and what people do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from evenkeel.sandbox.faults import Fault
from faults.clockwork import draw

BEFORE = ("lost before", "error before", "page before", "busy before")
AFTER = ("lost after", "error after", "page after")


@dataclass(frozen=True)
class Fate:
    """Of one call: what spoils it, seconds there and back; of an order: when it arrives at last, when it is shown."""

    kind: str = "fine"
    there_s: float = 0.1
    back_s: float = 0.1
    late_s: float = 0.0
    hidden_s: float = 0.0


@dataclass
class Trouble:
    """bad  how often a call is spoiled, 0..1 · strikes  precisions and suspensions: from, until, what.

    storm  `deaf` = hardly a call is answered, `slow` = each takes a minute, `` = neither
    """

    seed: int
    bad: float
    strikes: list[tuple[float, float, Fault]] = field(default_factory=list)
    storm: str = ""
    calm: bool = False

    def __post_init__(self) -> None:
        self._dice: dict[str, random.Random] = {}

    def of_call(self, name: str) -> Fate:
        """The fate of the next call of a kind."""
        dice = self._dice.setdefault(name, draw(self.seed, f"call {name}"))
        luck, there, back = dice.random(), dice.random(), dice.random()
        late, hidden, kind = dice.random(), dice.random(), dice.random()
        if self.calm:
            return Fate()
        bad = 0.95 if self.storm == "deaf" else self.bad
        slow = 60.0 if self.storm == "slow" else 8.0 if luck < 2 * bad else 0.5
        wire = {"there_s": slow * there, "back_s": slow * back}
        if luck >= bad:
            return Fate(hidden_s=20 * hidden if luck < 1.5 * bad and name == "place_order" else 0.0, **wire)
        if name != "place_order":
            kinds = BEFORE + AFTER if name == "cancel_order" else BEFORE
            return Fate(kinds[int(kind * len(kinds))], **wire)
        if late < 0.15:
            return Fate("late", late_s=50 * hidden, hidden_s=20 * kind, **wire)
        kinds = BEFORE + AFTER + AFTER
        return Fate(kinds[int(kind * len(kinds))], hidden_s=25 * hidden if late < 0.5 else 0.0, **wire)

    def of_pairs(self, now: float) -> list[Fault]:
        """What is different about pairs now."""
        return [] if self.calm else [fault for begin, end, fault in self.strikes if begin <= now < end]
