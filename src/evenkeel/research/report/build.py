"""ReportData in, the document out: a dict of every figure that the page shows, and the words beside them.

Words are made from the figures and claim no more than they do. What was not measured is said, never filled in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evenkeel import metrics
from evenkeel.errors import DataError
from evenkeel.metrics import DAYS_A_YEAR
from evenkeel.research import significance
from evenkeel.research.report.data import Costs, Curve, Forecast, ReportData
from evenkeel.research.report.parts import (
    FIGURES,
    Column,
    Part,
    at,
    bars,
    day,
    known,
    line,
    listed,
    percent,
    ranked,
    section,
    table,
    usd,
)
from evenkeel.research.significance import BEATS, EQUAL, WORSE, Interval, Verdict
from evenkeel.types import Array, IntArray
from evenkeel.units import DAY_S, iso

ROLLING_DAYS = 180
STRESS_DAYS = 10
WEEK_S = 7 * DAY_S
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def build(data: ReportData, rng: np.random.Generator) -> dict[str, Any]:
    """The document of one run; `rng` draws the ablation's intervals.

    Raises DataError for a curve that is too short to say anything, or that cannot be.
    """
    times, equity = metrics.marks(*data.strategy)
    if len(times) < 3:
        raise DataError(f"equity on {len(times)} midnights is too little: a report needs two whole days")
    curves = {data.name: data.strategy, **data.baselines}
    return {
        "title": data.title,
        "name": data.name,
        "subtitle": f"{day(int(times[0]))} to {day(int(times[-1]))}, {len(times) - 1} days, net of costs unless said",
        "verdict": _verdict(data),
        "period": {"from": int(times[0]), "to": int(times[-1]), "days": len(times) - 1},
        "figures": {
            name: dict(metrics.statistics(*curve, benchmark=_benchmark(data, name))) for name, curve in curves.items()
        },
        "curve": {"time": times.tolist(), "equity": listed(equity)},
        "sections": [
            _key_figures(data, curves),
            _equity(data, curves),
            _underwater(data, curves),
            _rolling(data),
            _monthly(data),
            _contributions(data),
            _costs(data),
            _turnover(data),
            _forecasts(data),
            _regimes(data),
            _stress(data),
            _ablation(data, rng),
            _evidence(data),
        ],
        "facts": {
            "made": iso(data.created),
            "by": data.command,
            "configuration": data.config_digest,
            **data.facts,
        },
    }


# ---------------------------------------------------------------- verdict


def _verdict(data: ReportData) -> Part:
    found = data.verdicts or ()
    words = Counter(verdict.word for verdict in found)
    text = _headline(data.name, words) if found else "Not judged: no baseline was run beside it."
    notes = []
    if data.in_sample:
        text = f"IN-SAMPLE: {text}"
        notes.append(
            "Some bars lie before the train end of the model that decided on them: no figure here is evidence."
        )
    return {
        "line": text,
        "in_sample": data.in_sample,
        "notes": notes,
        "items": [{"baseline": v.baseline, "word": v.word, "sentence": v.sentence} | _measured(v) for v in found],
    }


def _headline(name: str, words: Mapping[str, int]) -> str:
    """`evenkeel beats 1, is worse than 1 and is not distinguishable from 2 of 4 baselines.`."""
    total = sum(words.values())
    said = ((BEATS, "beats"), (WORSE, "is worse than"), (EQUAL, "is not distinguishable from"))
    parts = [f"{verb} {words[word]}" for word, verb in said if words[word]]
    if len(parts) == 1:
        verb = parts[0].rpartition(" ")[0]
        which = "any" if words[EQUAL] else "all"
        return f"{name} {verb} {f'{which} of its {total} baselines' if total > 1 else 'its one baseline'}."
    return f"{name} {', '.join(parts[:-1])} and {parts[-1]} of {total} baselines."


def _evidence(data: ReportData) -> Part:
    title = "How much of it is luck"
    if not data.verdicts:
        return section("evidence", title, absent="no baseline was run")
    first = data.verdicts[0].deflated
    notes = [
        (
            f"{first.trials} configurations were tried (families: {', '.join(data.families) or 'not named'}), "
            "interrupted ones included. The deflated Sharpe ratio is the probability that the lead is more than the "
            "best of so many tries without skill would show; 0.95 is asked for."
        )
    ]
    if not all(verdict.deflated.measured for verdict in data.verdicts):
        notes.append("Where the trials' own returns are not kept, their spread is taken as what luck alone makes.")
    overfit = data.overfit
    if overfit is None or overfit.probability is None:
        why = overfit.reason if overfit is not None else "no table of trials was given"
        notes.append(f"Probability of back-test overfitting: not computed ({why}).")
    else:
        notes.append(
            f"Probability of back-test overfitting: {overfit.probability:.2f} over {overfit.trials} trials and "
            f"{overfit.splits:,} splits (0.5 is pure luck)."
        )
    measures = [
        ("active return, a day", "percent", 3), ("active return: low", "percent", 3),
        ("active return: high", "percent", 3), ("t (Newey-West)", "ratio", None), ("Sharpe difference", "ratio", None),
        ("Sharpe difference: low", "ratio", None), ("Sharpe difference: high", "ratio", None),
        ("CAGR difference", "percent", None), ("CAGR difference: low", "percent", None),
        ("CAGR difference: high", "percent", None), ("deflated Sharpe", "ratio", None), ("days", "ratio", 0),
        ("verdict", "text", None),
    ]  # fmt: skip
    columns: list[Column] = [("", "text", None), *((v.baseline, "ratio", None) for v in data.verdicts)]
    values = [
        [
            *_three(v.intervals.active), known(v.t), *_three(v.intervals.sharpe_difference),
            *_three(v.intervals.cagr_difference), _shown(v.deflated.probability), v.days, v.word,
        ]
        for v in data.verdicts
    ]  # fmt: skip
    rows = [[label, *[row[i] for row in values]] for i, (label, *_) in enumerate(measures)]
    shown = data.verdicts[0].intervals
    caption = (
        f"Paired daily returns; {shown.active.level:.0%} intervals by stationary bootstrap, {shown.resamples:,} draws"
    )
    sharpe = shown.sharpe
    notes.append(f"Sharpe ratio of {data.name}: {sharpe.estimate:.2f}, interval {sharpe.low:.2f} to {sharpe.high:.2f}.")
    judged = table(caption, columns, rows)
    judged["row_units"] = [{"unit": unit, "digits": digits} for _, unit, digits in measures]
    made = section("evidence", title, notes=notes, tables=[judged])
    made["pbo"] = None if overfit is None else {
        "probability": overfit.probability, "trials": overfit.trials, "splits": overfit.splits,
        "reason": overfit.reason,
    }  # fmt: skip
    return made


def _measured(verdict: Verdict) -> Part:
    """Every figure behind a verdict, unrounded."""
    found, judged = verdict.intervals, verdict.deflated
    return {
        "days": verdict.days, "t": known(verdict.t), "active": _three(found.active), "sharpe": _three(found.sharpe),
        "sharpe_difference": _three(found.sharpe_difference), "cagr_difference": _three(found.cagr_difference),
        "block_length": found.length, "resamples": found.resamples, "level": found.active.level,
        "deflated_sharpe": judged.probability, "hurdle": judged.hurdle, "trials": judged.trials,
        "variance_measured": judged.measured,
    }  # fmt: skip


def _shown(probability: float | None) -> float | None:
    return None if probability is None else significance.two_digits(probability)


def _three(interval: Interval) -> list[float | None]:
    return [known(interval.estimate), known(interval.low), known(interval.high)]


# ---------------------------------------------------------------- curves


def _benchmark(data: ReportData, name: str) -> Curve | None:
    """The first baseline, for everyone but itself."""
    first = next(iter(data.baselines), None)
    return data.baselines[first] if first is not None and first != name else None


def _key_figures(data: ReportData, curves: Mapping[str, Curve]) -> Part:
    found = {name: metrics.statistics(*curve, benchmark=_benchmark(data, name)) for name, curve in curves.items()}
    columns: list[Column] = [("", "text", None), *((name, "ratio", None) for name in found)]
    made = table(
        "Run and baselines",
        columns,
        [[label, *[values.get(key) for values in found.values()]] for key, label, *_ in FIGURES],
    )
    made["row_units"] = [{"unit": unit, "digits": digits} for *_, unit, digits in FIGURES]
    first = next(iter(data.baselines), None)
    beside = f"; beta, alpha and active return against {first}" if first else ""
    best, worst = metrics.extremes(*metrics.daily_returns(*data.strategy))
    days: list[Column] = [("", "text", None), ("best day", "text", None), ("return", "percent", 2),
                                               ("worst day", "text", None), ("return", "percent", 2)]  # fmt: skip
    extreme = [
        [str(i + 1), day(up[0]), up[1], day(down[0]), down[1]]
        for i, (up, down) in enumerate(zip(best, worst, strict=True))
    ]
    return section(
        "figures",
        "Key figures",
        notes=[f"Daily returns, a year of 365.25 days, risk-free rate 0{beside}."],
        tables=[made, table(f"Best and worst days of {data.name}", days, extreme)],
    )


def _equity(data: ReportData, curves: Mapping[str, Curve]) -> Part:
    times, own = metrics.marks(*data.strategy)
    grid = {name: at(curve, times) for name, curve in curves.items()}
    scaled = {name: values * (own[0] / _first(values)) for name, values in grid.items()}
    ends = {name: float(values[-1]) for name, values in scaled.items() if name != data.name and np.isfinite(values[-1])}
    finding = f"{usd(float(own[0]))} became {usd(float(own[-1]))}"
    if ends:
        best = max(ends, key=lambda name: ends[name])
        finding += f"; the best baseline, {best}, ended at {usd(ends[best])}"
    charts = [line("Equity", finding + ".", "usd", times, scaled)]
    positive = {name: np.where(values > 0, values, np.nan) for name, values in scaled.items()}
    charts.append(
        line("Equity on a log scale", "Equal distances are equal percentages.", "usd", times, positive, scale="log")
    )
    return section("equity", "Equity", charts=charts)


def _first(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    there = values[np.isfinite(values) & (values > 0)]
    return float(there[0]) if len(there) else float("nan")


def _underwater(data: ReportData, curves: Mapping[str, Curve]) -> Part:
    times, _ = metrics.marks(*data.strategy)
    falls = metrics.drawdowns(*data.strategy)
    if falls:
        deepest = falls[0]
        end = f"recovered on {day(deepest.recovered)}" if deepest.recovered is not None else "not recovered yet"
        longest = max(fall.days for fall in falls)
        finding = (
            f"Deepest fall {percent(deepest.depth)}, from {day(deepest.peak)} to {day(deepest.trough)}, {end}; "
            f"longest time under a high {longest:,.0f} days."
        )
    else:
        finding = "Equity never fell below an earlier high."
    series = {name: _deepest(curves[name], times) for name in list(curves)[:2]}
    chart = line(
        "Distance from the highest equity so far, lowest of each day",
        finding,
        "percent",
        times,
        series,
        zero=True,
        fill=True,
    )
    columns: list[Column] = [
        ("from", "text", None), ("lowest", "text", None), ("recovered", "text", None), ("depth", "percent", None),
        ("days", "ratio", 0),
    ]  # fmt: skip
    rows = [
        [day(f.peak), day(f.trough), day(f.recovered) if f.recovered is not None else "not yet", f.depth, f.days]
        for f in falls[:5]
    ]
    return section("underwater", "Under water", charts=[chart], tables=[table("The five deepest falls", columns, rows)])


def _deepest(curve: Curve, times: IntArray) -> Array:
    """Lowest distance from the high so far within the day that ends at each mark, (D,); NaN where there is none."""
    found = np.full(len(times), np.nan)
    ends = -(-curve[0] // DAY_S) * DAY_S
    place = np.searchsorted(times, np.maximum(ends, times[0]))
    here = (place < len(times)) & (times[np.minimum(place, len(times) - 1)] == np.maximum(ends, times[0]))
    np.fmin.at(found, place[here], metrics.underwater(curve[1])[here])
    return found


def _rolling(data: ReportData) -> Part:
    days, returns = metrics.daily_returns(*data.strategy)
    title = "Rolling Sharpe ratio"
    if len(returns) <= ROLLING_DAYS:
        return section("rolling", title, absent=f"{len(returns)} days, more than {ROLLING_DAYS} are needed")
    band = metrics.rolling_sharpe(returns, ROLLING_DAYS)
    seen = slice(ROLLING_DAYS - 1, None)
    inside = float(np.mean((band.low[seen] <= 0) & (band.high[seen] >= 0)))
    finding = (
        f"Between {np.nanmin(band.value):.2f} and {np.nanmax(band.value):.2f} over {ROLLING_DAYS} days; its 90 % band "
        f"(Mertens 2002) holds 0 on {percent(inside, 0)} of the days."
    )
    edges = {"low": listed(band.low[seen]), "high": listed(band.high[seen])}
    chart = line(f"Sharpe ratio of the last {ROLLING_DAYS} days, with 90 % band", finding, "ratio",
                 days[seen], {data.name: band.value[seen]}, band=edges, zero=True, axis="Sharpe ratio")  # fmt: skip
    return section("rolling", title, charts=[chart])


def _monthly(data: ReportData) -> Part:
    months = metrics.monthly(*data.strategy)
    years: dict[int, list[float | None]] = defaultdict(lambda: [None] * 12)
    for month in months:
        years[month.year][month.month - 1] = month.value
    rows = []
    for year, values in sorted(years.items()):
        whole = float(np.prod([1.0 + value for value in values if value is not None])) - 1.0
        rows.append([str(year), *values, whole])
    columns: list[Column] = [("year", "text", None), *((name, "percent", 1) for name in _MONTHS)]
    made = table(
        "Return by calendar month (UTC); first and last may be parts", [*columns, ("year", "percent", 1)], rows
    )
    made["heat"] = 0.15
    up = sum(month.value > 0 for month in months)
    worst = min(months, key=lambda month: month.value)
    name = f"{_MONTHS[worst.month - 1]} {worst.year}"
    note = f"{up} of {len(months)} months ended higher; the worst, {name}, {percent(worst.value)}."
    return section("monthly", "Month by month", notes=[note], tables=[made])


# ---------------------------------------------------------------- where it came from


def _contributions(data: ReportData) -> Part:
    title = "What it came from"
    if data.contributions is None:
        return section("contributions", title, absent="the run kept no record of what each asset gave")
    cut = data.contributions
    charts = [
        _share("By tier", dict(cut.tier)),
        _share("By asset", _shortened(cut.asset)),
        _share("By opinion", dict(cut.opinion)),
    ]
    note = (
        "Price moves of what was held, before fees and slippage. By opinion: what the base would have held, what each "
        "opinion added to it, what the risk rules took away; an approximation, the ablation below is the real test."
    )
    return section("contributions", title, notes=[note], charts=charts)


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


def _costs(data: ReportData) -> Part:
    title = "What it cost"
    if data.costs is None:
        made = section("costs", title, absent="the run kept no record of fills")
    else:
        made = section("costs", title, charts=[_waterfall(data.costs)])
    if data.doubled is None:
        made["notes"].append("Not measured: the same run with costs twice as high.")
    else:
        once, twice = metrics.statistics(*data.strategy), metrics.statistics(*data.doubled)
        columns: list[Column] = [("", "text", None)]
        keys = [row for row in FIGURES if row[0] in ("total_return", "cagr", "sharpe", "max_drawdown")]
        columns += [(label, unit, digits) for _, label, unit, digits in keys]
        rows = [[name, *[v[key] for key, *_ in keys]] for name, v in (("as run", once), ("costs x 2", twice))]
        made["tables"].append(table("The same run with fees and slippage twice as high", columns, rows))
    return made


def _waterfall(costs: Costs) -> Part:
    net = costs.gross - costs.fees - costs.slippage
    lost = costs.fees + costs.slippage
    if costs.gross > 0:
        finding = f"Of {usd(costs.gross)} gross, {usd(lost)} ({percent(lost / costs.gross, 0)}) went to costs."
    else:
        finding = f"{usd(costs.gross)} gross; costs took another {usd(lost)}."
    rows = [
        ["gross", costs.gross, True], ["fees", -costs.fees, False], ["slippage", -costs.slippage, False],
        ["net", net, True],
    ]  # fmt: skip
    return {"kind": "waterfall", "title": "From gross to net", "finding": finding, "unit": "usd", "rows": rows}


def _turnover(data: ReportData) -> Part:
    if data.traded is None or not len(data.traded.days):
        return section("turnover", "Turnover", absent="the run kept no record of fills")
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


# ---------------------------------------------------------------- forecasts, regimes, stress, ablation


def _forecasts(data: ReportData) -> Part:
    title = "Do the forecasts order the assets"
    if not data.forecasts:
        return section("forecasts", title, absent="no out-of-sample forecast was measured")
    columns: list[Column] = [
        ("horizon", "text", None), ("decisions", "ratio", 0), ("IC", "ratio", 3), ("RankIC", "ratio", 3),
        ("t of RankIC", "ratio", 1), ("decisions above 0", "percent", 0),
    ]  # fmt: skip
    rows = [
        [f.horizon, len(f.time), known(_mean(f.ic)), known(_mean(f.rank_ic)), known(f.t), known(_mean(f.rank_ic > 0))]
        for f in data.forecasts
    ]
    charts = [_weekly(forecast) for forecast in data.forecasts]
    return section("forecasts", title, charts=charts, tables=[table("Out of sample, by horizon", columns, rows)])


def _weekly(forecast: Forecast) -> Part:
    week = forecast.time // WEEK_S
    starts = np.unique(week)
    means = np.array([_mean(forecast.rank_ic[week == start]) for start in starts])
    finding = f"Mean {_mean(forecast.rank_ic):.3f}; above 0 in {percent(_mean(means > 0), 0)} of {len(starts)} weeks."
    chart = bars(f"RankIC of the {forecast.horizon} forecast, week by week", finding, "ratio", starts * WEEK_S, means)
    return chart | {"axis": "RankIC"}


def _mean(values: np.ndarray[Any, Any]) -> float:
    there = values[np.isfinite(values)]
    return float(np.mean(there)) if len(there) else float("nan")


def _regimes(data: ReportData) -> Part:
    title = "In which market"
    if data.regimes is None or not len(data.regimes.time):
        return section("regimes", title, absent="the run kept no regime labels")
    days, returns = metrics.daily_returns(*data.strategy)
    place = np.searchsorted(data.regimes.time, days, side="right") - 1
    labels = np.array(["" if i < 0 else data.regimes.label[i] for i in place])
    first = next(iter(data.baselines), None)
    beside = dict(_returns_of(data.baselines[first])) if first is not None else {}
    beside_name = first or "baseline"
    other = np.array([beside.get(int(moment), np.nan) for moment in days])
    columns: list[Column] = [
        ("regime", "text", None), ("days", "ratio", 0), ("share", "percent", 0), ("mean, a year", "percent", 0),
        ("Sharpe", "ratio", None), ("worst day", "percent", None), (f"mean of {beside_name}, a year", "percent", 0),
    ]  # fmt: skip
    rows = []
    for label in sorted(set(labels.tolist()) - {""}):
        here = labels == label
        rows.append([
            label, int(here.sum()), float(here.mean()), float(returns[here].mean()) * DAYS_A_YEAR,
            known(metrics.sharpe(returns[here], DAYS_A_YEAR)), float(returns[here].min()),
            known(_mean(other[here]) * DAYS_A_YEAR),
        ])  # fmt: skip
    return section("regimes", title, tables=[table("Days by the regime believed at their start", columns, rows)])


def _returns_of(curve: Curve) -> Sequence[tuple[int, float]]:
    days, returns = metrics.daily_returns(*curve)
    return list(zip(days.tolist(), returns.tolist(), strict=True))


def _stress(data: ReportData) -> Part:
    title = "On the worst days"
    first = next(iter(data.baselines), None)
    if first is None:
        return section("stress", title, absent="no baseline says which days were bad")
    days, own, market = metrics.paired(data.strategy, data.baselines[first])
    order = np.argsort(market, kind="stable")[:STRESS_DAYS]
    rows = [[day(int(days[i])), *(float(x) for x in (market[i], own[i], own[i] - market[i]))] for i in order]
    columns: list[Column] = [
        ("day", "text", None), (first, "percent", None), (data.name, "percent", None), ("difference", "percent", None),
    ]  # fmt: skip
    better = sum(own[i] > market[i] for i in order)
    note = f"Lost less than {first} on {better} of its {len(rows)} worst days."
    return section(
        "stress", title, notes=[note], tables=[table(f"The {len(rows)} worst days of {first}", columns, rows)]
    )


def _ablation(data: ReportData, rng: np.random.Generator) -> Part:
    title = "What each part is worth"
    if not data.variants:
        return section("ablation", title, absent="the run was not repeated without its parts")
    columns: list[Column] = [
        ("", "text", None), ("total return", "percent", None), ("Sharpe", "ratio", None),
        ("max drawdown", "percent", None), ("worth, a day", "percent", 3), ("low", "percent", 3),
        ("high", "percent", 3), ("", "text", None),
    ]  # fmt: skip
    keys = ("total_return", "sharpe", "max_drawdown")
    whole = metrics.statistics(*data.strategy)
    rows: list[list[Any]] = [[data.name, *[whole[key] for key in keys], None, None, None, ""]]
    for (name, curve), child in zip(data.variants.items(), rng.spawn(len(data.variants)), strict=True):
        figures = metrics.statistics(*curve)
        _, own, less = metrics.paired(data.strategy, curve)
        found = significance.intervals(own, less, child).active
        word = "helps" if found.low > 0 else "hurts" if found.high < 0 else "not distinguishable"
        rows.append([name, *[figures[key] for key in keys], *_three(found), word])
    caption = "The same run without one part; worth = whole less the run without it, with 90 % interval"
    return section("ablation", title, tables=[table(caption, columns, rows)])
