"""ReportData in, the document out: a dict of every figure that the page shows, and the words beside them.

Words are made from the figures and claim no more than they do. What was not measured is said, never filled in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evenkeel import metrics
from evenkeel.errors import DataError
from evenkeel.research.report import attribution, conditions, judgement, performance
from evenkeel.research.report.data import ReportData
from evenkeel.research.report.parts import Part, day, listed
from evenkeel.units import iso


def build(data: ReportData, rng: np.random.Generator) -> dict[str, Any]:
    """The document of one run; `rng` draws the ablation's intervals.

    Raises DataError for a curve that is too short to say anything, or that cannot be.
    """
    times, equity = metrics.marks(*data.strategy)
    if len(times) < 3:
        raise DataError(f"equity on {len(times)} midnights is too little: a report needs two whole days")
    return {
        "title": data.title,
        "name": data.name,
        "subtitle": f"{day(int(times[0]))} to {day(int(times[-1]))}, {len(times) - 1} days, net of costs unless said",
        "verdict": judgement.verdict(data),
        "period": {"from": int(times[0]), "to": int(times[-1]), "days": len(times) - 1},
        "figures": {name: dict(found) for name, found in performance.statistics(data).items()},
        "curve": {"time": times.tolist(), "equity": listed(equity)},
        "sections": _sections(data, rng),
        "facts": {
            "made": iso(data.created),
            "by": data.command,
            "configuration": data.config_digest,
            **data.facts,
        },
    }


def _sections(data: ReportData, rng: np.random.Generator) -> list[Part]:
    """The chapters in their order, each with the notes that the caller has for it."""
    made = [
        performance.equity(data),
        performance.key_figures(data),
        performance.underwater(data),
        performance.rolling(data),
        performance.monthly(data),
        attribution.contributions(data),
        attribution.costs(data),
        attribution.turnover(data),
        conditions.forecasts(data),
        conditions.regimes(data),
        conditions.stress(data),
        conditions.ablation(data, rng),
        judgement.evidence(data),
    ]
    for part in made:
        part["notes"] += data.notes.get(part["id"], ())
    return made
