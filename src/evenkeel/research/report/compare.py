"""Several runs side by side, from the documents of `build`: the same page, no new judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evenkeel.errors import UsageError
from evenkeel.research.report.data import Curve
from evenkeel.research.report.parts import FIGURES, Column, Part, at, day, line, section, table
from evenkeel.units import iso

_LOG = "Equal distances are equal percentages."
_AXIS = "times the start"


def compare(reports: Sequence[Mapping[str, Any]], created: int, called: Sequence[str] | None = None) -> dict[str, Any]:
    """One document of several, under their titles (equal ones numbered) or as they are `called`.

    Raises UsageError below two.
    """
    if len(reports) < 2:
        raise UsageError(f"{len(reports)} report cannot be compared: give two or more")
    names = _names(reports) if called is None else list(called)
    periods = {(report["period"]["from"], report["period"]["to"]) for report in reports}
    alike = f"{len(reports)} runs over the same days."
    unlike = "The runs do not cover the same days: their figures are not comparable."
    return {
        "title": "Runs side by side",
        "name": "comparison",
        "subtitle": f"{len(reports)} runs; each is judged against its own baselines, not against the others",
        "verdict": {
            "line": alike if len(periods) == 1 else unlike,
            "in_sample": any(report["verdict"]["in_sample"] for report in reports),
            "notes": [],
            "items": [
                {"baseline": "", "word": "", "sentence": f"{name}: {report['verdict']['line']}"}
                for name, report in zip(names, reports, strict=True)
            ],
        },
        "sections": [_figures(names, reports), _equity(names, reports)],
        "facts": {
            "made": iso(created),
            **{name: report["facts"]["configuration"] for name, report in zip(names, reports, strict=True)},
        },
    }


def _figures(names: Sequence[str], reports: Sequence[Mapping[str, Any]]) -> Part:
    columns: list[Column] = [("", "text", None), *((name, "ratio", None) for name in names)]
    rows: list[list[Any]] = [
        [label, *[report["figures"][report["name"]].get(key) for report in reports]] for key, label, *_ in FIGURES
    ]
    rows += [[word, *[day(report["period"][word]) for report in reports]] for word in ("from", "to")]
    made = table("All runs", columns, rows)
    made["row_units"] = [{"unit": unit, "digits": digits} for *_, unit, digits in FIGURES]
    made["row_units"] += [{"unit": "text", "digits": None}] * 2
    return section("figures", "Key figures", tables=[made])


def _equity(names: Sequence[str], reports: Sequence[Mapping[str, Any]]) -> Part:
    """Every run as a multiple of its start."""
    curves = {name: _curve(report) for name, report in zip(names, reports, strict=True)}
    times = np.unique(np.concatenate([time for time, _ in curves.values()]))
    grown = {name: at(curve, times) / curve[1][0] for name, curve in curves.items()}
    ends = {name: float(curve[1][-1] / curve[1][0]) for name, curve in curves.items()}
    best = max(ends, key=lambda name: ends[name])
    finding = f"{best} grew most, to {ends[best]:.2f} times its start; each line begins at 1 on its own first day."
    charts = [
        line("Growth", finding, "ratio", times, grown, axis=_AXIS),
        line("Growth on a log scale", _LOG, "ratio", times, grown, scale="log", axis=_AXIS),
    ]
    return section("equity", "Equity", charts=charts)


def _curve(report: Mapping[str, Any]) -> Curve:
    curve = report["curve"]
    return np.array(curve["time"], dtype=np.int64), np.array(curve["equity"], dtype=np.float64)


def _names(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [report["title"] for report in reports]
    return [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]
