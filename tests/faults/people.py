"""What people, markets, clocks and the weather do to a simulated life, drawn from its seed."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

from evenkeel.sandbox.faults import Fault
from evenkeel.store import clear_halt, set_halt
from faults.history import Flow, Socket

if TYPE_CHECKING:
    from faults.simulation import Life

STORMS = ("deaf", "slow", "thin")


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


def storm(life: Life, dice: random.Random) -> None:
    """The venue is deaf, or slow, or its book is thin, for minutes or an hour."""
    kind, until = dice.choice(STORMS), life.clock.now + dice.uniform(300, 3_600)
    if kind == "thin":
        life.account.ledger.book.thin = True
        life.clock.at(until, lambda: setattr(life.account.ledger.book, "thin", False))
    else:
        life.trouble.storm = kind
        life.clock.at(until, lambda: setattr(life.trouble, "storm", ""))
