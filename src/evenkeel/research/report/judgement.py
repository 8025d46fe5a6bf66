"""The verdict, and how much of the result is luck: words that are made from `research.significance` and say no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evenkeel.research import significance
from evenkeel.research.report.charts import number
from evenkeel.research.report.data import ReportData
from evenkeel.research.report.parts import Column, Part, bounds, known, section, table
from evenkeel.research.significance import BEATS, EQUAL, WORSE, Overfit, Verdict

UNJUDGED = "no baseline was run beside it"
_TITLE = "How much of it is luck"

_MEASURES: Sequence[tuple[str, str, int | None]] = (
    ("active return, a day", "percent", 3), ("active return: low", "percent", 3),
    ("active return: high", "percent", 3), ("t (Newey-West)", "ratio", None), ("Sharpe difference", "ratio", None),
    ("Sharpe difference: low", "ratio", None), ("Sharpe difference: high", "ratio", None),
    ("CAGR difference", "percent", None), ("CAGR difference: low", "percent", None),
    ("CAGR difference: high", "percent", None), ("deflated Sharpe", "ratio", None), ("days", "ratio", 0),
)  # fmt: skip


def verdict(data: ReportData) -> Part:
    """What stands first: one line, whether it is evidence at all, and one sentence per baseline."""
    found = data.verdicts or ()
    words = Counter(one.word for one in found)
    text = _headline(data.name, words) if found else f"Not judged: {data.why('baselines', UNJUDGED)}."
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
        "items": [item(one) for one in found],
    }


def item(found: Verdict) -> Part:
    """A verdict about one baseline, and every figure behind it."""
    return {"baseline": found.baseline, "word": found.word, "sentence": found.sentence} | _measured(found)


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


def _measured(found: Verdict) -> Part:
    """Every figure behind a verdict, unrounded."""
    drawn, judged = found.intervals, found.deflated
    return {
        "days": found.days, "t": known(found.t), "active": bounds(drawn.active), "sharpe": bounds(drawn.sharpe),
        "sharpe_difference": bounds(drawn.sharpe_difference), "cagr_difference": bounds(drawn.cagr_difference),
        "block_length": drawn.length, "resamples": drawn.resamples, "level": drawn.active.level,
        "deflated_sharpe": judged.probability, "hurdle": judged.hurdle, "trials": judged.trials,
        "variance_measured": judged.measured,
    }  # fmt: skip


# ---------------------------------------------------------------- how much of it is luck


def evidence(data: ReportData) -> Part:
    """Intervals, deflated Sharpe ratios and the probability of overfitting."""
    if not data.verdicts:
        return section("evidence", _TITLE, absent=data.why("baselines", "no baseline was run"))
    notes = [_tries(data.verdicts[0], data.families)]
    if not all(one.deflated.measured for one in data.verdicts):
        notes.append("Where the trials' own returns are not kept, their spread is taken as what luck alone makes.")
    notes.append(_overfitting(data.overfit))
    estimate, low, high = (number(value, "ratio") for value in bounds(data.verdicts[0].intervals.sharpe))
    notes.append(f"Sharpe ratio of {data.name}: {estimate}, interval {low} to {high}.")
    made = section("evidence", _TITLE, notes=notes, tables=[_judged(data.verdicts)])
    made["pbo"] = _pbo(data.overfit)
    return made


def _tries(first: Verdict, families: Sequence[str]) -> str:
    return (
        f"{first.deflated.trials} configurations were tried (families: {', '.join(families) or 'not named'}), "
        "interrupted ones included. The deflated Sharpe ratio is the probability that the lead is more than the "
        "best of so many tries without skill would show; 0.95 is asked for."
    )


def _overfitting(found: Overfit | None) -> str:
    if found is None or found.probability is None:
        why = found.reason if found is not None else "no table of trials was given"
        return f"Probability of back-test overfitting: not computed ({why})."
    return (
        f"Probability of back-test overfitting: {found.probability:.2f} over {found.trials} trials and "
        f"{found.splits:,} splits (0.5 is pure luck)."
    )


def _pbo(found: Overfit | None) -> Part | None:
    if found is None:
        return None
    return {
        "probability": found.probability, "trials": found.trials, "splits": found.splits, "reason": found.reason,
    }  # fmt: skip


def _judged(verdicts: Sequence[Verdict]) -> Part:
    """One column per baseline, one row per measure."""
    columns: list[Column] = [("", "text", None), *((v.baseline, "ratio", None) for v in verdicts)]
    values = [_values(one) for one in verdicts]
    rows = [[label, *[row[i] for row in values]] for i, (label, *_) in enumerate(_MEASURES)]
    shown = verdicts[0].intervals
    caption = (
        f"Paired daily returns; {shown.active.level:.0%} intervals by stationary bootstrap, {shown.resamples:,} draws"
    )
    made = table(caption, columns, rows)
    made["row_units"] = [{"unit": unit, "digits": digits} for _, unit, digits in _MEASURES]
    return made


def _values(one: Verdict) -> list[float | None]:
    """In the order of `_MEASURES`."""
    found, probability = one.intervals, one.deflated.probability
    shown = None if probability is None else significance.two_digits(probability)
    return [
        *bounds(found.active), known(one.t), *bounds(found.sharpe_difference), *bounds(found.cagr_difference),
        shown, one.days,
    ]  # fmt: skip
