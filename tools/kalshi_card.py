"""The card of a Kalshi bundle: what `train kalshi` printed for each of its parts, last part last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from card_text import figure, table

Said = Mapping[str, Any]


def card(parts: Sequence[Said]) -> str:
    """Markdown."""
    return "\n".join([head(parts), *(part(one) for one in parts), limits()])


def head(parts: Sequence[Said]) -> str:
    """What the bundle is, how it was made, and what the desk may stake."""
    last = parts[-1]
    earning = [series for one in parts for series, worth in one["worth"].items() if worth["earns"]]
    staked = ", ".join(earning) if earning else "**none: no part knows more than the price, so the desk buys nothing**"
    commands = "\n".join(f"    {command(one)}" for one in parts)
    return f"""\
# kalshi {last["version"]}

Models of event contracts and what they are worth; digest `{last["digest"][:12]}`.

{commands}

- series that the desk stakes on by this evidence: {staked}
- expires {min(one["expires"] for one in parts)}; seed {last["seed"]}
- intervals are of 90 %, over independent events
"""


def command(one: Said) -> str:
    """The words that make a part again."""
    data, *results = one["data"]["files"]
    words = ["evenkeel train kalshi", f"--model {one['model']}", f"--data {data}"]
    words += [f"--results {name}" for name in results]
    onto = "none" if one["base"] is None else one["base"]["version"]
    return " ".join([*words, f"--onto {onto}", f"--version {one['version']}"])


def part(one: Said) -> str:
    """One model: scores, skill by series, back-tests, and every sentence that the command said."""
    data, scores = one["data"], one["scores"]
    learned = f"learned until {one['trained_until']}" if one["trained_until"] else "nothing is fitted"
    words = "\n".join(f"- {text}" for text in one["words"])
    return f"""\
## {one["model"]}

{", ".join(data["files"])}: {data["quotes"]:,} quotes, {data["judged"]:,} two-sided with an outcome,
{data["from"]} .. {data["to"]}; {learned}; {scores["rows"]:,} quotes of {scores["brier"]["clusters"]} independent
events judged.

{compared(scores)}

{skill(one["worth"])}

{bets(one["backtests"])}

{words}
"""


def compared(scores: Said) -> str:
    """Model against market."""
    names = {"Brier": "brier", "log loss": "log_loss"}
    rows = [
        [name, *(cell for side in ("", "_market", "_difference") for cell in _estimate(scores[key + side]))]
        for name, key in names.items()
    ]
    return table(("", "model", "", "market", "", "difference", ""), rows)


def skill(worth: Said) -> str:
    """How far outcomes followed the model, by series."""
    rows = [
        [series, figure(one["events"]), figure(one["k"], 2), _ends(one["interval"], 2), "yes" if one["earns"] else "no"]
        for series, one in worth.items()
    ]
    return table(("series", "settled events", "k", "interval", "staked on"), rows)


def bets(tests: Sequence[Said]) -> str:
    """Back-tests."""
    rows = [
        [one["name"], figure(one["bets"]), figure(one["win_rate"], 2), figure(one["staked"], 2),
         figure(one["profit"]["value"], 2), _ends((one["profit"]["low"], one["profit"]["high"]), 2)]
        for one in tests
    ]  # fmt: skip
    return table(("back-test, after fees and spread", "bets", "win rate", "staked USD", "profit USD", "interval"), rows)


def limits() -> str:
    """What the figures do not say."""
    return """\
## What it is not

- Proof that no edge exists: eleven days of ladders, three of 15-minute contracts and half a season are little.
- Free of assumptions: fees are those that the venue publishes for such series, sizes are not in the files and every
  size that is asked for was had.
- Up to date: a part that expired stakes nothing until it is trained again.
"""


def _estimate(one: Said) -> tuple[str, str]:
    return figure(one["value"]), _ends((one["low"], one["high"]), 4)


def _ends(ends: Sequence[float | None] | None, digits: int) -> str:
    return "-" if ends is None or None in ends else f"[{figure(ends[0], digits)}, {figure(ends[1], digits)}]"
