"""Where the result came from and what it cost: contributions, the way from gross to net, turnover."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evenkeel import metrics
from evenkeel.research.report.data import Costs, Curve, ReportData
from evenkeel.research.report.parts import FIGURES, Column, Part, bars, percent, ranked, section, table, usd
from evenkeel.units import DAY_S

WEEK_S = 7 * DAY_S


def contributions(data: ReportData) -> Part:
    """Price moves by tier, asset and opinion: three ways to cut one sum."""
    title = "What it came from"
    if data.contributions is None:
        why = data.why("contributions", "the run kept no record of what each asset gave")
        return section("contributions", title, absent=why)
    cut = data.contributions
    notes = ["Price moves of what was held, before fees and slippage."]
    charts = [_share("By tier", dict(cut.tier)), _share("By asset", _shortened(cut.asset))]
    if cut.opinion is None:
        notes.append("By opinion: not measured, the run kept no record of what each opinion asked for.")
    else:
        charts.append(_share("By opinion", dict(cut.opinion)))
        notes.append(
            "By opinion: what the base would have held, what each opinion added to it, what the risk rules took away; "
            "an approximation, the ablation below is the real test."
        )
    return section("contributions", title, notes=notes, charts=charts)


def _share(title: str, usd_by: Mapping[str, float]) -> Part:
    rows = sorted(usd_by.items(), key=lambda row: -row[1])
    if not rows:
        return ranked(title, "Nothing was held.", "usd", [])
    named = [row for row in rows if not row[0].endswith(" others")]
    most, least = named[0], named[-1]
    finding = f"{most[0]} gave most, {usd(most[1])}; {least[0]} least, {usd(least[1])}."
    return ranked(title, finding, "usd", rows)


def _shortened(asset: Mapping[str, float]) -> dict[str, float]:
    """The twelve with the largest sums of either sign, and the rest as one."""
    rows = sorted(asset.items(), key=lambda row: -abs(row[1]))
    kept = dict(rows[:12])
    if rows[12:]:
        kept[f"{len(rows) - 12} others"] = sum(value for _, value in rows[12:])
    return kept


# ---------------------------------------------------------------- costs


def costs(data: ReportData) -> Part:
    """From gross to net, and the same run with costs twice as high."""
    title = "What it cost"
    if data.costs is None:
        made = section("costs", title, absent=data.why("costs", "the run kept no record of fills"))
    else:
        made = section("costs", title, charts=[_waterfall(data.costs)])
    if data.doubled is None:
        why = data.why("doubled", "")
        made["notes"].append(f"Not measured: the same run with costs twice as high{f' ({why})' if why else ''}.")
    else:
        made["tables"].append(_twice(data.strategy, data.doubled))
    return made


def _twice(strategy: Curve, doubled: Curve) -> Part:
    keys = [row for row in FIGURES if row[0] in ("total_return", "cagr", "sharpe", "max_drawdown")]
    columns: list[Column] = [("", "text", None), *((label, unit, digits) for _, label, unit, digits in keys)]
    found = (("as run", metrics.statistics(*strategy)), ("costs x 2", metrics.statistics(*doubled)))
    rows = [[name, *[values[key] for key, *_ in keys]] for name, values in found]
    return table("The same run with fees and slippage twice as high", columns, rows)


def _waterfall(paid: Costs) -> Part:
    net = paid.gross - paid.fees - paid.slippage
    lost = paid.fees + paid.slippage
    if paid.gross > 0:
        finding = f"Of {usd(paid.gross)} gross, {usd(lost)} ({percent(lost / paid.gross, 0)}) went to costs."
    else:
        finding = f"{usd(paid.gross)} gross; costs took another {usd(lost)}."
    rows = [
        ["gross", paid.gross, True], ["fees", -paid.fees, False], ["slippage", -paid.slippage, False],
        ["net", net, True],
    ]  # fmt: skip
    return {"kind": "waterfall", "title": "From gross to net", "finding": finding, "unit": "usd", "rows": rows}


# ---------------------------------------------------------------- turnover


def turnover(data: ReportData) -> Part:
    """Bought and sold, week by week, as a share of equity."""
    if data.traded is None or not len(data.traded.days):
        return section("turnover", "Turnover", absent=data.why("turnover", "the run kept no record of fills"))
    total = float(data.traded.usd.sum())
    yearly = metrics.yearly_turnover(total, *data.strategy)
    week = data.traded.days // WEEK_S
    starts = np.unique(week)
    sums = np.array([float(data.traded.usd[week == start].sum()) for start in starts])
    level = np.array([_level(data.strategy, int(start) * WEEK_S) for start in starts])
    finding = f"{usd(total)} bought and sold: {yearly:.1f} times the mean equity a year."
    chart = bars("Bought and sold each week, share of equity", finding, "percent", starts * WEEK_S, sums / level)
    return section("turnover", "Turnover", charts=[chart])


def _level(curve: Curve, time: int) -> float:
    place = int(np.searchsorted(curve[0], time))
    return float(curve[1][min(place, len(curve[1]) - 1)])
