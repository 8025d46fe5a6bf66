"""Who takes the orders: the paper venue, or the account of a real one."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from evenkeel.config import Config, Secrets
from evenkeel.engine.ports import Broker
from evenkeel.errors import StateError
from evenkeel.types import Identity, Pair
from evenkeel.venues.sim import PaperVenue, Tape
from evenkeel.wiring.waiting import wait

if TYPE_CHECKING:
    from evenkeel.venues.roostoo import Roostoo
    from evenkeel.wiring.quoted import Ask

NOBODY = Secrets({"ROOSTOO_API_KEY": "nobody-asks-for-prices", "ROOSTOO_API_SECRET": "nobody-asks-for-prices"})
"""Prices are public: no call that asks for them carries a key or a signature."""


def paper(config: Config, tape: Tape, pairs: Sequence[Pair], path: Path | None) -> PaperVenue:
    """The paper venue of these pairs. Raises StateError where its file cannot be used."""
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        return PaperVenue(path, tape, {pair.asset: pair for pair in pairs}, config.costs, config.venue.capital)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"cannot use the paper account {path}: {error}; free space or restore a backup") from error


def identity(config: Config, held: Secrets) -> Identity:
    """Whose state a run on the computer's clock keeps: the account is a fingerprint of its key, never the key."""
    names = sorted(held.values)
    if not names:
        return Identity("paper", "paper", "real", "")
    key = next(held[name] for name in names if name.endswith("KEY"))
    venue = config.venue.exchange if config.venue.kind == "spot" else config.venue.kind
    return Identity(venue, hashlib.sha256(key.encode()).hexdigest()[:16], "real", config.venue.url)


def account(config: Config, pairs: Sequence[Pair], held: Secrets, stop: threading.Event) -> Broker:
    """The account at the configured venue, behind one limiter for all lanes; nothing is asked of it yet.

    Raises VenueError where the keys cannot be keys, ConfigError where the exchange takes no orders of ours.
    """
    open_account: Callable[..., Broker] = _spot if config.venue.kind == "spot" else _roostoo
    return open_account(config, pairs, held, stop)


def tickers(config: Config, held: Secrets, open_broker: Callable[[], Broker], stop: threading.Event) -> Ask | None:
    """All prices of the configured venue in one call; None = it shows no such list.

    open_broker  gives one and the same account each time: its limiter is the one for prices, too
    """
    if config.venue.kind != "roostoo":
        return None
    nobody = cache(lambda: _roostoo(config, (), NOBODY, stop))
    return lambda priority: cast("Roostoo", open_broker() if held.values else nobody()).quotes(0, priority)


def _roostoo(config: Config, _pairs: Sequence[Pair], held: Secrets, stop: threading.Event) -> Broker:
    from evenkeel.venues.limiter import Limiter  # noqa: PLC0415 - a dry run needs none of this
    from evenkeel.venues.roostoo import Roostoo  # noqa: PLC0415
    from evenkeel.venues.roostoo_wire import BASE_URL, Credentials, Wire  # noqa: PLC0415

    keys = Credentials(held["ROOSTOO_API_KEY"], held["ROOSTOO_API_SECRET"])
    limiter = Limiter(config.venue.calls_per_minute)
    url = config.venue.url.rstrip("/") or BASE_URL
    return Roostoo(Wire(keys, limiter, base_url=url, timeout_s=config.venue.timeout_s, sleep=partial(wait, stop)))


def _spot(config: Config, pairs: Sequence[Pair], held: Secrets, stop: threading.Event) -> Broker:
    from evenkeel.venues.spot import Spot  # noqa: PLC0415 - a dry run needs none of this
    from evenkeel.venues.spot_wire import Keys  # noqa: PLC0415

    venue = config.venue
    return Spot(
        venue.exchange,
        Keys(held["SPOT_API_KEY"], held["SPOT_API_SECRET"]),
        {pair.asset: pair for pair in pairs},
        sleep=partial(wait, stop),
        clock=time.time,
        host=venue.url or None,
        testnet=venue.testnet,
        timeout_s=venue.timeout_s,
    )
