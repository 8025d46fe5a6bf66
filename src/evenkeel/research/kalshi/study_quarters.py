"""15-minute crypto contracts: does an ensemble know more than the price? Learned before a close, judged after it.

Two sets of inputs are judged: what a board tells (`events.ensemble.NAMES`), which is what is served, and with it every
column of the file that training has for at least half of its rows. A split by random rows can be planted: it "wins",
and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from evenkeel.errors import DataError, EvidenceError
from evenkeel.events import ensemble, fitted
from evenkeel.events.pipeline import StakeSettings
from evenkeel.research.kalshi import fit_ensemble, play, quarters, split
from evenkeel.research.kalshi.evidence import Judgement, Played, Study, judge, played
from evenkeel.research.kalshi.fit_ensemble import Advance, Fit, Settings, silent
from evenkeel.research.kalshi.quarters import LIFE_S, Quarters
from evenkeel.research.kalshi.settled import Settled
from evenkeel.types import Array, BoolArray
from evenkeel.units import iso

PART: Final = 2 / 3
BANKROLL: Final = Decimal(1_000)
IN_BOARD: Final = ("f_spread", "f_time_norm")
"""Columns of the file that a board tells already."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Quotes that can be judged, their inputs, and which of them are learned from.

    board  (n, 4) what a board tells · file  (n, 4 + k) with the file's further columns `names` · train (n,)
    """

    rows: Quarters
    board: Array
    file: Array
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    train: BoolArray


def sampled(read: Quarters, train: BoolArray | None = None, before: int | None = None) -> Sample:
    """Judged rows with inputs; split by close at two thirds, or before a time, or as given."""
    rows = read.pick(read.quotes.judged)
    if not len(rows.quotes.time):
        raise DataError("no quote of the file can be judged: none is two-sided with an outcome")
    learned = split.by_time(rows.quotes, PART, before) if train is None else train
    kept, dropped = quarters.kept(rows.pick(learned))
    names = tuple(name for name in kept if name not in IN_BOARD)
    board = ensemble.inputs(rows.quotes.mid, rows.quotes.ask - rows.quotes.bid, rows.elapsed)
    file = np.concatenate([board, quarters.columns(rows, names)], axis=1) if names else board
    return Sample(rows, board, file, names, dropped, learned)


def study(read: Quarters, before: int | None, seed: int, settings: Settings, advance: Advance = silent) -> Study:
    """All of it. before  UTC s; without, two thirds of the closes are learned from.

    advance  is told of each of 2 x `settings.fits` fits
    """
    sample = sampled(read, before=before)
    rows, train = sample.rows, sample.train
    split.refuse(rows.quotes, train)
    learned, test = rows.quotes.pick(train), rows.quotes.pick(~train)
    served = fit_ensemble.fit(sample.board[train], learned, seed, settings, advance)
    said = exported(served, np.unique(rows.quotes.series).tolist())
    model = fitted.read("ensemble", said, "ensemble")
    known = play.remembered(model, test)
    judgement = judge(play.said(model, test)[0], test, seed)
    wide = fit_ensemble.fit(sample.file[train], learned, seed, settings, advance)
    of_file = judge(wide(sample.file[~train])[0], test, seed)
    backtests = _backtests(known, test, judgement, seed)
    facts = {
        "learned_from": len(np.unique(learned.cluster)), "judged_on": len(np.unique(test.cluster)),
        "judged_from": iso(int(test.time.min())), "inputs": list(ensemble.NAMES), "file_inputs": list(sample.names),
        "dropped": list(sample.dropped), "members": _members(served, sample.board[~train], judgement, test, seed),
        "of_file": of_file.to_json(),
    }  # fmt: skip
    words = [
        f"dropped, more than half missing in training: {', '.join(sample.dropped) or 'none'}",
        f"as served, from what a board tells: {judgement.words}",
        f"with every column of the file ({', '.join(sample.names)}): {of_file.words}",
        *(one.words for one in judgement.worth), *(one.words for one in backtests),
    ]  # fmt: skip
    return Study("ensemble", said, int(learned.close.max()), golden(served, sample.board[train], seed), judgement,
                 backtests, facts, words)  # fmt: skip


def exported(served: Fit, series: Sequence[str]) -> dict[str, Any]:
    """A fit in the form of the part."""
    curve = served.curve
    return {
        "features": list(ensemble.NAMES), "series": list(series), "life_s": LIFE_S,
        "members": [fit_ensemble.exported(member) for member in served.members],
        "curve": {name: getattr(curve, name).tolist() for name in ("price", "p", "count", "error")},
    }  # fmt: skip


def golden(served: Fit, learned: Array, seed: int) -> dict[str, Any]:
    """Made-up inputs within the range of training, and what scikit-learn itself makes of them."""
    rng = np.random.default_rng(seed)
    low, high = np.quantile(learned, [0.01, 0.99], axis=0)
    given = low + (high - low) * rng.random((32, learned.shape[1]))
    each = served.each(given)
    wanted = np.vstack([each, *ensemble.corrected(each, served.curve)]).T
    return {"input": given.tolist(), "output": [[None if np.isnan(x) else float(x) for x in row] for row in wanted]}


def _members(served: Fit, x: Array, whole: Judgement, test: Settled, seed: int) -> list[Mapping[str, Any]]:
    """What each member is worth alone, and their mean before the curve."""
    each = {member.name: member(x) for member in served.members}
    each["mean"] = np.mean(list(each.values()), axis=0)
    chosen = {member.name: (member.parameter, member.loss) for member in served.members}
    found = []
    for name, p in each.items():
        one = judge(p, test, seed)
        parameter, loss = chosen.get(name, (None, None))
        found.append({"name": name, "parameter": parameter, "log_loss_in_folds": loss, "words": one.words,
                      "brier": one.scores.brier.to_json(), "log_loss": one.scores.log_loss.to_json()})  # fmt: skip
    return [*found, {"name": "as served", "parameter": None, "log_loss_in_folds": None, "words": whole.words,
                     "brier": whole.scores.brier.to_json(), "log_loss": whole.scores.log_loss.to_json()}]  # fmt: skip


def _backtests(known: play.Said, test: Settled, found: Judgement, seed: int) -> Sequence[Played]:
    skill = {one.series: one.skill for one in found.worth}
    choosers = {
        "the desk, with the skill that is measured": play.desk(known, lambda s: skill[s], StakeSettings()),
        "the ensemble taken at its word (k = 1)": play.desk(known, lambda _: play.BELIEVED, StakeSettings()),
    }
    accounts = play.side_by_side(play.of_quotes(test), choosers, BANKROLL)
    return [played(name, account, seed) for name, account in accounts.items()]


def planted(read: Quarters, seed: int, settings: Settings) -> str:
    """Split by random rows and raise EvidenceError with what that "wins"; words come back if the check is blind."""
    rows = read.pick(read.quotes.judged)
    train = split.by_rows(rows.quotes, PART, seed)
    sample = sampled(read, train)
    leaky = fit_ensemble.fit(sample.file[train], rows.quotes.pick(train), seed, settings)
    won = judge(leaky.each(sample.file[~train]).mean(axis=0), rows.quotes.pick(~train), seed)
    try:
        split.refuse(rows.quotes, train)
    except EvidenceError as error:
        raise EvidenceError(f"by a split of random rows {won.words}; it is no evidence: {error}") from None
    return won.words
