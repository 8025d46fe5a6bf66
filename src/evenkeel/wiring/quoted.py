"""Bars and quotes of pairs that the candle exchange does not list: the trading venue's own ticker, watched.

The law of `venues.ticker_bars` holds: a bar that was not watched from end to end is absent. The ticker tells what was
traded in the last 24 hours, not in a bar: a bar gets its even share of them, so that liquidity is right and the shape
of the day is flat; where the venue does not tell it, the bar's volume is unknown and the bar is not kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from evenkeel import archive
from evenkeel.engine.live import Touches
from evenkeel.errors import EvenkeelError, StoppedError, VenueError, VenueUnknownError
from evenkeel.market.panel import panel as make_panel
from evenkeel.types import Array, Panel
from evenkeel.units import DAY_S
from evenkeel.venues.limiter import Priority
from evenkeel.venues.roostoo_rows import Tick
from evenkeel.venues.ticker_bars import SOURCE, BarBuilder

WATCH_S = 60.0
"""Pause between two looks of its own: a bar may go unseen for five of them."""
QUOTES = "quotes.json"

Ask = Callable[[Priority], Mapping[str, Tick]]


class Quoted:
    """Assets that only the venue quotes. Thread-safe: checks poll it and its own watch does.

    ask  ticks of everything that the venue quotes, in one call · now  UTC s
    """

    def __init__(self, home: Path, bar_s: int, assets: Sequence[str], ask: Ask, now: Callable[[], float]) -> None:
        self.assets = tuple(assets)
        self._home, self._bar_s, self._ask, self._now = home, bar_s, ask, now
        self._builder = BarBuilder(bar_s)
        self._section = threading.Lock()
        self._watched = False

    def poll(self, priority: Priority = Priority.STOP) -> Touches:
        """Best bid and ask of these assets now; none while the venue cannot be had: their prices grow old."""
        try:
            told = self._ask(priority)
        except (VenueError, VenueUnknownError):
            return {}
        ticks = {asset: told[asset] for asset in self.assets if asset in told}
        with self._section:
            self._builder = self._builder.take(ticks)
        return {asset: (float(t.bid), float(t.ask), t.time // 1000) for asset, t in ticks.items()}

    def keep(self, until: int) -> None:
        """Store the bars that have closed by `until`. Raises EvenkeelError where the disk refuses."""
        with self._section:
            made, self._builder = self._builder.closed(until)
            seen = self._builder.seen
        for asset, rows in made.items():
            day_units = seen[asset].day_units
            if day_units is not None:
                rows[:, -1] = float(day_units) * self._bar_s / DAY_S
                archive.append(self._home, SOURCE, self._bar_s, asset, rows)

    def watch(self, stop: threading.Event) -> None:
        """From now on look at the venue every minute, until `stop`; once is enough."""
        with self._section:
            begun, self._watched = self._watched, True
        if not begun:
            threading.Thread(target=self._watch, args=[stop], name="quoted", daemon=True).start()

    def _watch(self, stop: threading.Event) -> None:
        with contextlib.suppress(StoppedError):
            while not stop.wait(WATCH_S):
                self.poll(Priority.PRICE)
                with contextlib.suppress(EvenkeelError):  # a full disk: these bars are absent, the next ones may not be
                    self.keep(int(self._now()))

    def laid(self, panel: Panel) -> Panel:
        """The panel with the stored bars of these assets in their columns."""
        fields = [np.array(x) for x in (panel.open, panel.high, panel.low, panel.close, panel.volume)]
        for asset in self.assets:
            _put(fields, panel, panel.assets.index(asset), archive.read(self._home, SOURCE, self._bar_s, asset))
        open_, high, low, close, volume = fields
        return make_panel(panel.time, panel.assets, open_, high, low, close, volume, panel.bar_s)


def _put(fields: Sequence[Array], panel: Panel, column: int, rows: Array) -> None:
    at = ((rows[:, 0] + panel.bar_s - panel.time[0]) // panel.bar_s).astype(np.int64)
    inside = (at >= 0) & (at < len(panel.time))
    for field, values in zip(fields, rows[inside, 1:].T, strict=True):
        field[at[inside], column] = values


def noted(home: Path, sources: Mapping[str, str], poll: Callable[[], Touches]) -> Callable[[], Touches]:
    """`poll`, leaving beside the state which source told of each asset, and when (`state/quotes.json`, for people)."""
    pen = threading.Lock()
    last: dict[str, int] = {}

    def asked() -> Touches:
        touches = poll()
        with pen, contextlib.suppress(OSError):
            last.update({asset: time for asset, (_, _, time) in touches.items()})
            _write(home / "state" / QUOTES, {a: {"source": s, "time": last.get(a)} for a, s in sources.items()})
        return touches

    return asked


def _write(path: Path, body: Mapping[str, object]) -> None:
    """Whole or not at all, and not synced: it is out of date in a moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(body))
    temporary.replace(path)
