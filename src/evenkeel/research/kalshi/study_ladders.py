"""Hourly crypto ladders: is a lognormal worth more than the quotes? Only its volatility is estimated, as of then."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np

from evenkeel.events import fitted
from evenkeel.events.fair import Lognormal
from evenkeel.events.pipeline import StakeSettings
from evenkeel.research.kalshi import play, split
from evenkeel.research.kalshi.evidence import Judgement, Played, Study, judge, played
from evenkeel.research.kalshi.ladders import Captures
from evenkeel.research.kalshi.scores import brier, means
from evenkeel.types import Array

BANKROLL: Final = Decimal(1_000)
FLAT: Final = Decimal(10)
WARNING: Final = (
    "WARNING: scores over all contracts are artefacts: most are one-sided quotes of a cent or two on strikes that "
    "nobody doubts, where every forecaster is right"
)


def study(captures: Captures, seed: int) -> Study:
    """All of it. seed  of the intervals' resampling."""
    model = Lognormal()
    p = captures.fair(model)
    split.enough(captures.quotes, captures.quotes.judged & np.isfinite(p))
    judgement = judge(p, captures.quotes, seed)
    games = _backtests(captures, model, judgement, seed)
    everything = _all_contracts(captures, p, seed)
    said: dict[str, Any] = {"oldest_s": model.oldest_s}
    return Study(
        part="lognormal",
        model=said,
        train_end=None,
        golden=golden(seed),
        judgement=judgement,
        played=games,
        facts={"captures": len(captures.volatility), "all_contracts": everything},
        words=[judgement.words, *(one.words for one in judgement.worth), *(one.words for one in games), WARNING],
    )


def golden(seed: int) -> dict[str, Any]:
    """Made-up strikes, spots, volatilities and times, and their probabilities."""
    rng = np.random.default_rng(seed)
    spot = 100 * np.exp(rng.normal(0, 0.01, 32))
    rows = np.stack([np.full(32, 100.0), spot, rng.uniform(5e-5, 3e-4, 32), rng.uniform(5, 7_200, 32)], axis=1)
    given = rows.tolist()
    return {"input": given, "output": fitted.golden(Lognormal(), given)}


def _backtests(captures: Captures, model: Lognormal, found: Judgement, seed: int) -> Sequence[Played]:
    skill = {one.series: one.skill for one in found.worth}
    stakes = StakeSettings()
    choosers = {
        "the desk, with the skill that is measured": play.desk(model, lambda series: skill[series], stakes),
        "the model taken at its word (k = 1)": play.desk(model, lambda _: play.BELIEVED, stakes),
        "every event's first NO at 0.95 or above, flat": play.extremes(FLAT, 0.05, 1.01),
    }
    accounts = play.side_by_side(play.of_captures(captures), choosers, BANKROLL)
    return [played(name, account, seed) for name, account in accounts.items()]


def _all_contracts(captures: Captures, p: Array, seed: int) -> dict[str, Any]:
    """Brier of both where a missing side is read as 0 or 1, as a careless program does; a warning, no evidence."""
    quotes = captures.quotes
    careless = (np.nan_to_num(quotes.bid, nan=0.0) + np.where(np.isnan(quotes.ask), 1.0, quotes.ask)) / 2
    quoted = np.isfinite(quotes.bid) | np.isfinite(quotes.ask)
    used = quoted & np.isfinite(p) & np.isfinite(quotes.outcome) & (quotes.left > 0)
    y = quotes.outcome[used]
    ours, theirs = means(np.stack([brier(p[used], y), brier(careless[used], y)]), quotes.cluster[used], seed)
    return {"warning": WARNING, "rows": int(used.sum()), "brier": ours.to_json(), "brier_market": theirs.to_json()}
