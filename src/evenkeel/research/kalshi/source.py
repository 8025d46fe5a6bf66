"""Which file is this, and what can be found out from it? Paths in; quotes, boards and a study out, whatever the kind.

Hourly ladders are known by their captures, games by their candles (results lie in a second file), 15-minute contracts
by their features. Each kind has one part of a bundle: `lognormal`, `calibration`, `ensemble`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from evenkeel.errors import DataError, UsageError
from evenkeel.events.fair import Model
from evenkeel.research.kalshi import (
    games,
    ladders,
    play,
    quarters,
    settled,
    split,
    study_games,
    study_ladders,
    study_quarters,
)
from evenkeel.research.kalshi.evidence import Judgement, Study, judge
from evenkeel.research.kalshi.fit_ensemble import Advance, Settings, silent
from evenkeel.research.kalshi.ladders import Captures
from evenkeel.research.kalshi.play import Moment
from evenkeel.research.kalshi.quarters import Quarters
from evenkeel.research.kalshi.settled import Settled
from evenkeel.research.kalshi.study_games import Entries
from evenkeel.types import Array

Content = Captures | Entries | Quarters

MARKS: Final = {"captured_at": "lognormal", "f_time_norm": "ensemble", "yes_bid": "calibration"}
"""Column that only files of a kind have -> the part that is made of them; the first that is there decides."""


@dataclass(frozen=True, slots=True)
class Source:
    """Settled contracts of one kind. part  the bundle's · files  that were read · content  in the kind's own form."""

    part: str
    files: tuple[Path, ...]
    content: Content

    @property
    def quotes(self) -> Settled:
        """One row for each quote, of games at noon of their date."""
        match self.content:
            case Entries(noon=noon):
                return noon
            case Captures(quotes=quotes) | Quarters(quotes=quotes):
                return quotes

    def fits(self, settings: Settings) -> int:
        """How many classifiers a study fits; 0 for what takes seconds."""
        return 2 * settings.fits if isinstance(self.content, Quarters) else 0

    def study(self, before: int | None, seed: int, settings: Settings, advance: Advance = silent) -> Study:
        """Fit before a time, judge after it. Raises EvidenceError for a leaky split, UsageError for a needless time."""
        match self.content:
            case Captures() as captures:
                if before is not None:
                    raise UsageError("--before does not apply to ladders: nothing is fitted there; leave it out")
                return study_ladders.study(captures, seed)
            case Entries() as entries:
                return study_games.study(entries, before, seed)
            case Quarters() as rows:
                return study_quarters.study(rows, before, seed, settings, advance)

    def judged(self, model: Model, after: int | None, seed: int) -> Judgement:
        """A fitted model on quotes after its training, UTC s; None = it learned nothing.

        Raises DataError where there are none.
        """
        quotes, p = self.quotes, self._said(model)
        later = np.full(len(quotes.time), fill_value=True) if after is None else quotes.time >= after
        split.enough(quotes, later & quotes.judged & np.isfinite(p))
        return judge(np.where(later, p, np.nan), quotes, seed)

    def _said(self, model: Model) -> Array:
        return self.content.fair(model) if isinstance(self.content, Captures) else play.said(model, self.quotes)[0]

    def moments(self, after: int | None = None) -> Iterator[Moment]:
        """Boards in the order of time, from `after` on (UTC s)."""
        match self.content:
            case Captures() as captures:
                return play.of_captures(captures)
            case _:
                quotes = self.quotes
                return play.of_quotes(quotes if after is None else quotes.pick(quotes.time >= after))

    def replayed(self, model: Model) -> Model:
        """The same model, quick to ask again for these quotes."""
        return (
            model
            if isinstance(self.content, Captures)
            else play.remembered(model, self.quotes.pick(self.quotes.judged))
        )

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file that was read, by name."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files}


def read(data: Path, results: Path | None) -> Source:
    """A file of settled contracts; results  of games.

    Raises DataError for a file of no known kind, UsageError where results are missing or needless.
    """
    columns = settled.names(data)
    part = next((part for mark, part in MARKS.items() if mark in columns), None)
    if part is None:
        raise DataError(
            f"{data} is none of hourly ladders, NBA candles and 15-minute contracts: {', '.join(columns[:6])}"
        )
    if part == "calibration":
        if results is None:
            raise UsageError(f"{data} has candles of games and no results: give the markets' file with --results")
        entries = Entries(games.read(data, results), games.read(data, results, days_before=1))
        return Source(part, (data, results), entries)
    if results is not None:
        raise UsageError(f"--results belongs to candles of games, {data} has its own results: leave it out")
    return Source(part, (data,), ladders.read(data) if part == "lognormal" else quarters.read(data))
