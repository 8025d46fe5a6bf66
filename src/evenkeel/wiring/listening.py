"""Who listens to event contracts: the embedded market's own boards in a replay, Kalshi's public quotes on the clock.

The law: Kalshi never stops or delays the portfolio. It is asked beside the download of bars, and waited for a few
seconds at most; an outage is a reason to be shown, and an opinion less.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evenkeel.config import Config
from evenkeel.engine.live import Touches
from evenkeel.engine.ports import Listener
from evenkeel.errors import EvenkeelError, FeedError, StateError, StoppedError, VenueError, VenueUnknownError
from evenkeel.signals import crowd as crowds
from evenkeel.signals.crowd import NOBODY, Crowd, Past
from evenkeel.types import Board, Panel, Reading
from evenkeel.wiring.kept import recorded
from evenkeel.wiring.waiting import wait

if TYPE_CHECKING:
    from evenkeel.venues.kalshi import Kalshi

PATIENCE_S: Final = 10.0
"""Longest that a pass waits for Kalshi, counted from when it was asked; while an answer is still owed, nobody waits."""


def past_crowd(config: Config, home: Path, panel: Panel, first: int) -> Crowd:
    """What a replay hears from row `first` on."""
    if not config.opinions.edge:
        return NOBODY
    if config.feed.kind != "synthetic":
        return recorded(home, panel, first)
    if not config.synthetic.boards:
        return Crowd(silent="the embedded market quotes no event contracts (synthetic.boards is false)")
    return crowds.embedded(panel, config.synthetic, first)


def listener(config: Config, home: Path, poll: Callable[[], Touches], stop: threading.Event) -> Listener | None:
    """Listens to the configured Kalshi; None where no edge is wanted. Needs no key.

    poll  best bid and ask of the coins now
    """
    if not config.opinions.edge:
        return None
    market = cache(lambda: _public(config, stop))
    source = "Kalshi" if config.kalshi.env == "prod" else f"Kalshi's {config.kalshi.env}"

    def ask() -> Board:
        from evenkeel.venues import kalshi_board  # noqa: PLC0415 - a service starts without it

        return kalshi_board.coins(market(), int(time.time()))

    return Ear(source, ask, poll, partial(remembered, home))


def _public(config: Config, stop: threading.Event) -> Kalshi:
    from evenkeel.venues.kalshi import Kalshi  # noqa: PLC0415 - a service starts without it
    from evenkeel.venues.kalshi_wire import HOSTS, Wire  # noqa: PLC0415

    url = config.kalshi.url.rstrip("/") or HOSTS[config.kalshi.env].rest
    return Kalshi(Wire(url, timeout_s=config.kalshi.timeout_s, sleep=partial(wait, stop)))


class Ear:
    """A listener that asks in a thread of its own. One pass at a time.

    ask   the board of the coins now · poll  their prices · past  readings of earlier passes, asked for once
    """

    def __init__(
        self,
        source: str,
        ask: Callable[[], Board],
        poll: Callable[[], Touches],
        past: Callable[[], Mapping[int, tuple[Reading, ...]]],
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Nobody is asked before the first `begin`."""
        self._ask, self._poll, self._remembered = ask, poll, past
        self._crowd = Crowd(source, silent="no board was asked for yet")
        self._past: Past | None = None
        self._patience_s, self._patient = patience_s, True
        self._asking = _Question()
        self._asking.over.set()

    def begin(self) -> None:
        """Ask now, unless an earlier question still waits for its answer."""
        self._patient = self._asking.over.is_set()
        if self._patient:
            self._asking = _Question()
            threading.Thread(target=self._asking.put, args=[self._ask, self._poll], name="kalshi", daemon=True).start()

    def heard(self, panel: Panel) -> Crowd:
        """What Kalshi said, read at the newest bar; where it said nothing, why."""
        asked = self._asking
        left = asked.began + self._patience_s - time.monotonic() if self._patient else 0.0
        answered = asked.over.wait(max(0.0, left))
        self._learn()
        if not answered:
            self._crowd = Crowd(self._crowd.source, silent=f"Kalshi did not answer within {self._patience_s:g} s")
        elif asked.board is None:
            self._crowd = Crowd(self._crowd.source, silent=asked.problem)
        else:
            self._read(panel, asked.board, asked.touches)
        return self._crowd

    def known(self) -> Crowd:
        """The readings of the last passes."""
        self._learn()
        return self._crowd

    def _learn(self) -> None:
        """Earlier readings, once: of this run's own journal."""
        if self._past is None:
            past: Past = {}
            rows = self._remembered()
            for readings in rows.values():
                past = crowds.later(past, readings)
            self._past = past
            self._crowd = Crowd(self._crowd.source, rows, self._crowd.silent)

    def _read(self, panel: Panel, board: Board, touches: Touches) -> None:
        mids = {asset: ((bid + ask) / 2.0, at) for asset, (bid, ask, at) in touches.items()}
        readings = crowds.read(board, crowds.spots(panel, board.time, mids), self._past or {})
        self._past = crowds.later(self._past or {}, readings)
        self._crowd = Crowd(self._crowd.source, {int(panel.time[-1]): readings}, "no board was asked for then")


class _Question:
    """One board, asked for; `over` once there is an answer or a problem."""

    def __init__(self) -> None:
        self.began, self.over = time.monotonic(), threading.Event()
        self.board: Board | None = None
        self.touches: Touches = {}
        self.problem = "Kalshi's board cannot be read: an error of ours, please report it"

    def put(self, ask: Callable[[], Board], poll: Callable[[], Touches]) -> None:
        """Ask for the board, then for prices of the same moment."""
        try:
            board = ask()
            self.touches = poll()
            self.board = board
        except FeedError as error:
            self.problem = f"no price to compare Kalshi's with: {error}"
        except (VenueError, VenueUnknownError, StoppedError) as error:
            self.problem = f"Kalshi cannot be had: {error}"
        except EvenkeelError as error:
            self.problem = f"Kalshi's board cannot be read: {error}"
        finally:
            self.over.set()


def remembered(home: Path) -> dict[int, tuple[Reading, ...]]:
    """Readings in the journal of this home, 7 days of passes, by the close of their newest bar; none without one."""
    from evenkeel.journal import recent  # noqa: PLC0415 - a back-test keeps no journal

    passes = crowds.MEAN_S // 1_800
    try:
        rows = recent(home / "state" / "journal.db", "edge", limit=passes * len(crowds.COINS))
    except StateError:
        return {}
    found: dict[int, list[Reading]] = {}
    for row in rows:
        found.setdefault(int(row["as_of"]), []).append(_reading(row))
    return {as_of: tuple(readings) for as_of, readings in found.items()}


def _reading(row: Mapping[str, Any]) -> Reading:
    import orjson  # noqa: PLC0415 - see `remembered`

    told: dict[str, Any] = {name: str(row[name]) for name in ("asset", "event", "reason")}
    told |= {name: int(row[name]) for name in ("time", "close", "past")}
    told |= {name: _number(row[name]) for name in ("mu", "mean", "sd", "drift", "error", "vol")}
    contracts = tuple((str(t), float(bid), float(ask)) for t, bid, ask in orjson.loads(row["contracts"]))
    return Reading(**told, contracts=contracts)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
