"""Several runs side by side, from the documents of `build`: the same page, no new judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evenkeel.errors import UsageError
from evenkeel.research.report.parts import FIGURES, Column, at, day, line, section, table
from evenkeel.units import iso

_LOG = "Equal distances are equal percentages."


def compare(reports: Sequence[Mapping[str, Any]], created: int, called: Sequence[str] | None = None) -> dict[str, Any]:
    """One document of several, under their titles (equal ones numbered) or as they are `called`.

    Raises UsageError below two.
    """
    if len(reports) < 2:
        raise UsageError(f"{len(reports)} report cannot be compared: give two or more")
    names = _names(reports) if called is None else list(called)
    curves = {
        name: (np.array(report["curve"]["time"], dtype=np.int64), np.array(report["curve"]["equity"], dtype=np.float64))
        for name, report in zip(names, reports, strict=True)
    }
    times = np.unique(np.concatenate([time for time, _ in curves.values()]))
    grown = {name: at(curve, times) / curve[1][0] for name, curve in curves.items()}
    ends = {name: float(curve[1][-1] / curve[1][0]) for name, curve in curves.items()}
    best = max(ends, key=lambda name: ends[name])
    finding = f"{best} grew most, to {ends[best]:.2f} times its start; each line begins at 1 on its own first day."
    columns: list[Column] = [("", "text", None), *((name, "ratio", None) for name in names)]
    rows: list[list[Any]] = [
        [label, *[report["figures"][report["name"]].get(key) for report in reports]] for key, label, *_ in FIGURES
    ]
    rows += [[word, *[day(report["period"][word]) for report in reports]] for word in ("from", "to")]
    figures = table("All runs", columns, rows)
    figures["row_units"] = [{"unit": unit, "digits": digits} for *_, unit, digits in FIGURES]
    figures["row_units"] += [{"unit": "text", "digits": None}] * 2
    periods = {(report["period"]["from"], report["period"]["to"]) for report in reports}
    notes = [] if len(periods) == 1 else ["The runs do not cover the same days: their figures are not comparable."]
    return {
        "title": "Runs side by side",
        "name": "comparison",
        "subtitle": f"{len(reports)} runs; each is judged against its own baselines, not against the others",
        "verdict": {
            "line": notes[0] if notes else f"{len(reports)} runs over the same days.",
            "in_sample": any(report["verdict"]["in_sample"] for report in reports),
            "notes": [],
            "items": [
                {"baseline": "", "word": "", "sentence": f"{name}: {report['verdict']['line']}"}
                for name, report in zip(names, reports, strict=True)
            ],
        },
        "sections": [
            section("figures", "Key figures", tables=[figures]),
            section("equity", "Equity", charts=[
                line("Growth", finding, "ratio", times, grown) | {"axis": "times the start"},
                line("Growth on a log scale", _LOG, "ratio", times, grown, scale="log")
                | {"axis": "times the start"},
            ]),
        ],
        "facts": {
            "made": iso(created),
            **{name: report["facts"]["configuration"] for name, report in zip(names, reports, strict=True)},
        },
    }  # fmt: skip


def _names(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [report["title"] for report in reports]
    return [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]
