"""Some bars and a window of them, over which strategies are traded one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenkeel.cli import backtests, summary
from evenkeel.cli.backtests import Ask
from evenkeel.cli.progress import progress
from evenkeel.errors import NotReadyError
from evenkeel.units import DAY_S, iso

if TYPE_CHECKING:
    from evenkeel.cli.backtests import Tried
    from evenkeel.config import Loaded
    from evenkeel.types import Brain, Panel


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, first to last (UTC s), of a panel; `ask` holds everything else that is configured."""

    ask: Ask
    panel: Panel
    first: int
    last: int
    quiet: bool

    def loaded(self, strategy: str, *more: str) -> Loaded:
        """The configuration of one run, with more `key=value` laid over it."""
        window = (f"clock.from={iso(self.first)}", f"clock.to={iso(self.last)}", f"feed.bar={self.panel.bar_s // 60}m")
        return self.ask.loaded(*window, f"strategy={strategy}", *more)

    def run(
        self,
        strategy: str,
        brain: Brain,
        *more: str,
        name: str = "",
        family: str = "",
        watched: bool = False,
    ) -> Tried:
        """One back-test, entered in the ledger.

        name  said while it runs, `` = the strategy's · family, watched  as in `backtests.tried`
        """
        loaded = self.loaded(strategy, *more)
        with progress(len(backtests.slots_of(loaded.config)), name or strategy, quiet=self.quiet) as advance:
            return backtests.tried(
                self.ask.made, loaded, advance, family=family, watched=watched, panel=self.panel, brain=brain
            )


def period(ask: Ask, panel: Panel, since: int, until: int, *, quiet: bool, days: int = 0) -> Period:
    """The whole days between two moments (UTC s) that the panel covers, the last fill included.

    days  at least. Raises NotReadyError where there are fewer.
    """
    first = -(-since // DAY_S) * DAY_S
    last = min(until, int(panel.time[-1]) - panel.bar_s) // DAY_S * DAY_S
    if last - first < days * DAY_S:
        raise NotReadyError(
            f"{max(0, last - first) // DAY_S} whole days from {iso(first)} on are too few to trade: load later bars"
        )
    return Period(ask, panel, first, last, quiet)


def held(panel: Panel, assets: Sequence[str]) -> Panel:
    """The panel's columns of the assets that may be held."""
    from evenkeel.market import panel as panels

    return panels.pick(panel, [asset for asset in assets if asset in panel.assets])


def figures(ran: Tried) -> dict[str, Any]:
    """Metrics of a back-test, and the digest of its orders."""
    said = summary.of_backtest(ran.result, ran.loaded, ())
    return {**said["metrics"], "orders_sha256": said["orders_sha256"]}
