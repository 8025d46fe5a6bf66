"""The present as a feed and as a tape: closed bars computed anew each pass, quotes polled for every check.

Signals are computed from the declared origin on all bars closed so far, by the same code as a replay's. A risk check
never waits for bars: it takes the last signals and fresh quotes. A price moves a stop only when two polls a few
seconds apart agree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from evenkeel.engine.ports import Listener, Touch
from evenkeel.errors import FeedError
from evenkeel.market import quality
from evenkeel.portfolio.schedule import volume_profile
from evenkeel.signals.compute import compute
from evenkeel.signals.crowd import NOBODY, Crowd
from evenkeel.signals.view import Signals, SignalSettings
from evenkeel.types import Array, Brain, Panel, Quotes, View
from evenkeel.units import DAY_S, HOUR_S

FRESH_S = 10
"""A polled price serves orders for this long."""

Touches = Mapping[str, tuple[float, float, int]]
"""asset -> best bid, best ask (USD; NaN = none), UTC s of the quote."""


class LiveFeed:
    """Feed and tape on the computer's clock.

    bring  panel of all bars closed by a time, from the origin; asks the exchange and waits for it; raises FeedError
    stored the same of the bars that lie here already; asks nobody; raises FeedError
    poll   best bid and ask of every asset now; raises FeedError
    pause  waits between the two polls of a check
    now    UTC s
    listener  of event contracts; None = nobody listens
    """

    def __init__(
        self,
        bring: Callable[[int], Panel],
        stored: Callable[[int], Panel],
        poll: Callable[[], Touches],
        pause: Callable[[], None],
        now: Callable[[], float],
        brain: Brain,
        settings: SignalSettings,
        listener: Listener | None = None,
    ) -> None:
        """Nothing is asked of the world before the first `refresh` or `view`."""
        self._bring, self._stored, self._poll, self._pause, self._now = bring, stored, poll, pause, now
        self._brain, self._settings, self._listener = brain, settings, listener
        self._signals: Signals | None = None
        self._refreshing = threading.Lock()
        self._touches: Touches = {}
        self._polled = 0.0

    def refresh(self, time: int) -> None:
        """Compute signals on the bars closed by `time`, and on event contracts as they are quoted now."""
        with self._refreshing:
            if self._listener is None:
                self._signals = self._compute(self._bring(time), NOBODY)
                return
            self._listener.begin()
            panel = self._bring(time)
            self._signals = self._compute(panel, self._listener.heard(panel))

    def view(self, time: int, since: int) -> View:
        """The last signals, valued at quotes polled now; ranges hold what both polls and the closed bars saw."""
        signals = self._signals or self._first(time)
        view = signals.at(max(time, int(signals.panel.time[-1])), since)
        first = self._quotes(view, time)
        self._pause()
        second = self._quotes(view, time)
        return _valued(view, time, first, second, self._settings.quality, signals.panel.bar_s)

    def price(self, asset: str, time: int) -> tuple[float, float] | None:  # noqa: ARG002 - a port's signature
        """Mid of a quote at most a few seconds old, and the daily volume in USD; None = no two-sided quote."""
        try:
            if self._now() - self._polled > FRESH_S:
                self._ask()
        except FeedError:
            return None
        bid, ask, _ = self._touches.get(asset, (np.nan, np.nan, 0))
        if not (np.isfinite(bid) and np.isfinite(ask) and 0 < bid <= ask) or self._signals is None:
            return None
        column = self._signals.panel.assets.index(asset)
        return (bid + ask) / 2.0, float(np.exp(self._signals.features.column("liq")[-1, column]))

    def touch(self, asset: str) -> Touch | None:
        """Best bid and ask, at most a few seconds old, and the daily volume; None = no two-sided quote."""
        if self.price(asset, 0) is None or self._signals is None:
            return None
        bid, ask, _ = self._touches[asset]
        column = self._signals.panel.assets.index(asset)
        return Touch(bid, ask, float(np.exp(self._signals.features.column("liq")[-1, column])))

    def profile(self, asset: str) -> Array:
        """How the asset's volume spread over the UTC day in the bars known so far: (24,) shares, NaN = unknown."""
        panel = self._signals.panel if self._signals is not None else None
        bins = DAY_S // max(HOUR_S, panel.bar_s) if panel is not None else 24
        if panel is None or asset not in panel.assets:
            return np.full(bins, np.nan)
        return volume_profile(panel.time, panel.volume[:, panel.assets.index(asset)], panel.bar_s, bins)

    def _first(self, time: int) -> Signals:
        """Signals for a check before any bar was brought in: from the bars that lie here, whoever is bringing more."""
        signals = self._compute(self._stored(time), NOBODY if self._listener is None else self._listener.known())
        self._signals = self._signals or signals
        return self._signals

    def _compute(self, panel: Panel, crowd: Crowd) -> Signals:
        return compute(panel, self._brain, self._settings, max(0, len(panel.time) - 2), crowd)

    def _ask(self) -> None:
        self._touches = self._poll()
        self._polled = self._now()

    def _quotes(self, view: View, time: int) -> Quotes:
        self._ask()
        rows = [self._touches.get(asset, (np.nan, np.nan, 0)) for asset in view.assets]
        bid, ask = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        age = np.array([max(0.0, self._now() - r[2]) if r[2] else np.inf for r in rows])
        empty = np.full(len(rows), np.nan)
        return Quotes(time, bid, ask, empty, empty, age)


def _valued(
    view: View, time: int, first: Quotes, second: Quotes, settings: quality.QualitySettings, bar_s: int
) -> View:
    """The view with quotes laid over it: price is the second mid; the range is what both polls agree on."""
    codes = np.maximum(*(quality.quote_codes(q, view.price, settings, bar_s=bar_s) for q in (first, second)))
    good = codes == quality.Fault.OK
    mids = [np.where(good, (q.bid + q.ask) / 2.0, np.nan) for q in (first, second)]
    return replace(
        view,
        time=time,
        seen=time,
        price=np.where(good, mids[1], view.price),
        age=np.where(good, second.age, view.age),
        fault=np.where(view.fault != quality.Fault.OK, view.fault, codes).astype(np.int8),
        low=np.fmin(view.low, np.fmax(*mids)),
        high=np.fmax(view.high, np.fmin(*mids)),
    )
