"""The past as a feed and as a tape: signals computed once, shown row by row; orders meet the next bar's open.

Lawful by causality (law 1): a row computed from the whole panel has the same bits as one computed when it was new.
"""

from __future__ import annotations

import numpy as np

from evenkeel.errors import FeedError
from evenkeel.signals.view import Signals
from evenkeel.types import View
from evenkeel.units import DAY_S


class Replay:
    """Feed and tape over a finished panel."""

    def __init__(self, signals: Signals) -> None:
        """Take over signals; nothing is copied."""
        self._signals = signals
        panel = signals.panel
        self._column = {asset: i for i, asset in enumerate(panel.assets)}
        self._open_time = panel.time - panel.bar_s
        self._day = DAY_S // panel.bar_s

    def refresh(self, time: int) -> None:
        """Nothing to bring in: all bars are here."""

    def view(self, time: int, since: int) -> View:
        """What was known at `time`. Raises FeedError before the first computed row."""
        try:
            return self._signals.at(time, since)
        except IndexError as error:
            raise FeedError(str(error)) from error

    def price(self, asset: str, time: int) -> tuple[float, float] | None:
        """Open of the first bar that begins at or after `time`, and the dollar volume of the 24 h before it.

        None where that bar is missing: there is no market then. Volume is NaN where nothing is known.
        """
        panel = self._signals.panel
        row = int(np.searchsorted(self._open_time, time, side="left"))
        column = self._column.get(asset)
        if column is None or row >= len(panel.time) or not np.isfinite(panel.open[row, column]):
            return None
        past = slice(max(0, row - self._day), row)
        dollars = panel.volume[past, column] * panel.close[past, column]
        known = dollars[np.isfinite(dollars)]
        return float(panel.open[row, column]), float(known.sum()) if len(known) else float("nan")
