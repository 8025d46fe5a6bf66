"""The card of a policy: what `train policy` and each `evaluate policy` printed, and the lines of the hold-out's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from card_text import figure, table

Said = Mapping[str, Any]

VALIDATION = ("sharpe", "max_drawdown", "win_rate")
BOOKS = ("net_return", "active_return", "sharpe", "max_drawdown", "win_rate", "turnover", "doubtful")
RUN = ("total_return", "cagr", "sharpe", "max_drawdown", "turnover", "fees")
USD = frozenset({"turnover", "fees"})
"""Of a portfolio; the turnover of books is a multiple of them."""
FEW = 10
"""Assets that are named."""

NEEDED = "4 of 5 seeds are needed"


def card(train: Said, judged: Sequence[Said], looks: Sequence[str]) -> str:
    """Markdown. looks  lines of the hold-out's log, of which the policy's are shown."""
    bundle = next(one for one in train["bundles"] if one["version"] == judged[0]["version"])
    parts = [head(train, bundle), place(judged), seeds(bundle), specialists(bundle)]
    parts += [evaluation(one) for one in judged]
    return "\n".join([*parts, holdout(bundle, looks), limits(bundle)])


def head(train: Said, bundle: Said) -> str:
    """What the model is and how it was made."""
    taught, settings, read = bundle["train"], bundle["settings"], train["data"]
    unread = ", ".join(f"{one['held_out']:,} bars of {one['file']}" for one in read)
    seed = f"{bundle['chosen']} of {len(bundle['seeds'])}"
    speed = f"{train['seconds']:.0f} s, {train['steps_a_s']:,} a second"
    budgets = ", ".join(f"{one:,.0f}" for one in bundle["budgets"])
    return f"""\
# policy {bundle["version"]}

A PPO actor ({train["mode"]} actions) that trades one asset and cash, for budgets of {budgets} USD;
the seed of the **median** validation score, {seed}; digest `{bundle["digest"][:12]}`.

    {command(train, settings)}

- taught on {taught["bar"]} bars of {len(taught["symbols"])} assets, {taught["from"]} .. {taught["lessons_until"]}
- validated, which chose the weights of each seed and the seed, {taught["judged_from"]} .. {taught["until"]}
- {taught["episodes"]:,} windows, {taught["steps"]:,} steps of books in {speed}
- held out, never read in training: {unread}
- served on {", ".join(bundle["bars"])} bars and no other; expires {bundle["expires"]}
"""


def command(train: Said, settings: Said) -> str:
    """The words that make it again."""
    files = [f"--data {train['data'][0]['file']}", *(f"--also {one['file']}" for one in train["data"][1:])]
    budgets = ",".join(f"{one:.0f}" for one in settings["budgets"])
    names = ("mode", "episodes", "regimes", "seeds", "seed", "bars", "validation", "patience")
    words = [*files, f"--budgets {budgets}", *(f"--{name} {settings[name]}" for name in names)]
    if settings["symbols"]:
        words.append(f"--symbols {','.join(settings['symbols'])}")
    return " \\\n        ".join(["evenkeel train policy", *_lines(words), "--json"])


def _lines(words: Sequence[str], width: int = 90) -> list[str]:
    """Words on as few lines as they need."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def place(judged: Sequence[Said]) -> str:
    """Whether it earns its place, in the commands' own words."""
    earned = [one for one in judged if one["earns_place"]]
    told = {True: "It does, on every file.", False: f"It does on {len(earned)} of {len(judged)} files."}
    answer = told[len(earned) == len(judged)] if earned else "**It does not.**"
    rows = "\n".join(f"- {where(one)}: {one['verdict']}" for one in judged)
    return f"""\
## Does it earn its place?

{answer} It would, where the rebalancer that hears it *beats* the same rebalancer that does not.

{rows}
"""


def seeds(bundle: Said) -> str:
    """Validation of every seed: it has chosen, so it flatters."""
    rows = [
        [f"seed {one['seed']}" + ", chosen" * (one["seed"] == bundle["chosen"]), budget]
        + [figure(found[name], 3) for name in VALIDATION]
        + [f"{one['round']} of {one['rounds']}"]
        for one in bundle["seeds"]
        for budget, found in (("all", one["validation"]), *_by_budget(one["budgets"]))
    ]
    tilts = "\n".join(
        f"- tilt on {bar} bars: {_tilt(found)}" + ("" if bar in bundle["bars"] else "; **not served there**")
        for bar, found in bundle["evidence"].items()
    )
    return f"""\
## Validation, by seed

These figures have chosen the weights and the seed, so they are no evidence. Sharpe ratio of the active return, a year.

{table(["", "budget", *VALIDATION, "round"], rows)}

{tilts}
"""


def _by_budget(found: Mapping[str, Said]) -> list[tuple[str, Said]]:
    return sorted(found.items(), key=lambda item: float(item[0]))


def specialists(bundle: Said) -> str:
    """Kept or not, and why."""
    found = bundle["specialists"]
    if not found["wins"]:
        return "## Specialists\n\nNone were taught.\n"
    rows = "\n".join(
        f"- {regime}: routing to it beat the general actor in {wins} of {found['seeds']} seeds; "
        + ("kept" if found["file"][regime] else f"**not kept**, {NEEDED}: the general actor speaks")
        for regime, wins in found["wins"].items()
    )
    return f"## Specialists\n\nTaught with {found['budget']:,.0f} USD.\n\n{rows}\n"


def evaluation(one: Said) -> str:
    """One file of later candles: books, then the portfolio."""
    books = one["books"]
    shown = {_mark(name, one): each for name, each in books["actors"].items()}
    rows = [[name, "all", *_cells(each["all"], BOOKS)] for name, each in {**shown, **books["beside"]}.items()]
    median = f"**median of {one['seeds']} seeds**"
    rows += [[median, budget, *_middle(found, BOOKS)] for budget, found in books["spread"].items()]
    notes = "".join(f"- {note}\n" for note in one["notes"])
    verdicts = "\n".join(f"- {said['of']}: {said['sentence']}" for said in books["verdicts"])
    flags = " --holdout" if one["data"]["held_out_used"] else ""
    flags += " --specialist-router" if one["router"] else ""
    flags += f" --symbols {','.join(books['symbols'])}" if len(books["symbols"]) <= FEW else ""
    return f"""\
## {where(one)}

    evenkeel evaluate policy --model {one["version"]} --data {one["data"]["file"]}{flags} --json

{notes}
{books["windows"]} windows of {books["bars"]} bars, {len(books["symbols"])} assets. Quartiles of the seeds in brackets.

{table(["books", "budget", *BOOKS], rows)}

{verdicts}
- tilt: {_tilt(books["evidence"])}
{portfolio(one)}"""


def portfolio(one: Said) -> str:
    """The back-tests, where they were asked for."""
    if "portfolio" not in one:
        return ""
    found = one["portfolio"]
    rows = [[_mark(run["name"], one), *_cells(run, RUN, USD)] for run in found["runs"]]
    rows.append(["**median of seeds**", *_middle(found["spread"], RUN, USD)])
    verdicts = [f"- {said['of']}: {said['sentence']}" for said in found["verdicts"]]
    verdicts += [f"- tilt: {found['tilt']['sentence']}"] if found["tilt"] else ["- tilt: not served on these bars"]
    return f"""
{found["days"]} days, {found["capital"]:,.0f} USD, strategy `policy` of each seed, and what it stands beside:

{table(["portfolio", *RUN], rows)}

{chr(10).join(verdicts)}
"""


def holdout(bundle: Said, looks: Sequence[str]) -> str:
    """Every look at the held-out bars that concerned this version."""
    own = [line for line in looks if f"policy {bundle['version']} " in line]
    lines = "\n".join(f"    {line}" for line in own) if own else "None so far."
    return f"## Uses of the hold-out\n\nFrom `models/holdout.log`:\n\n{lines}\n"


def limits(bundle: Said) -> str:
    """What nobody should read into it."""
    return f"""\
## What it is not

- Proof of profit: the verdicts above stand as they are, and the seeds' spread is part of them.
- The best seed: that one would flatter.
- A portfolio: it is taught one asset at a time; caps, volatility target and drawdown are the rebalancer's.
- Up to date: it was taught until {bundle["train"]["until"][:10]}.
- Net of your costs: they are the paper venue's, a fee of 10 bp with spread and impact by tier."""


def where(one: Said) -> str:
    """File, bar and days, and whether these were held out."""
    held = ", held out" if one["data"]["held_out_used"] else ""
    return f"{one['data']['file']}, {one['data']['bar']} bars, {one['from'][:10]} .. {one['to'][:10]}{held}"


def _mark(name: str, one: Said) -> str:
    return f"{name}, chosen" if name == one["chosen"] else name


def _tilt(found: Said) -> str:
    return f"IC {figure(found['ic'])}, t {figure(found['ic_t'], 2)}, {found['decisions']:,} decisions"


def _cells(found: Said, names: Sequence[str], usd: frozenset[str] = frozenset()) -> list[str]:
    return [figure(found[name], 0 if name in usd else 3) for name in names]


def _middle(found: Mapping[str, Said], names: Sequence[str], usd: frozenset[str] = frozenset()) -> list[str]:
    """`0.120 (0.080 .. 0.140)`."""
    sides = [_cells({name: found[name][side] for name in names}, names, usd) for side in ("median", "low", "high")]
    return [f"{middle} ({low} .. {high})" for middle, low, high in zip(*sides, strict=True)]
