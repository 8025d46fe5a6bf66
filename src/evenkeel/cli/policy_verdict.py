"""What an evaluation of the policy says: one line first, then what has to be known besides, then the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evenkeel.cli.output import aligned, percent, say
from evenkeel.research.significance import BEATS, EQUAL, WORSE

FEWEST_SEEDS = 5
BOOKS = ("net_return", "active_return", "sharpe", "max_drawdown", "win_rate", "turnover", "doubtful")
RUNS = ("total_return", "sharpe", "max_drawdown", "turnover", "fees")
SHARES = frozenset({"net_return", "active_return", "max_drawdown", "win_rate", "doubtful", "total_return"})
SPREAD = "median of seeds"
QUARTILES = "their quartiles"


def of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The line, whether the policy earns its place in the blend (null = not asked), and notes."""
    found = document.get("portfolio")
    in_sample = bool(found and found["in_sample"])
    earns = None if not found else bool(found["tilt"] and found["tilt"]["word"] == BEATS)
    line = f"{'IN-SAMPLE: ' if in_sample else ''}policy {document['version']} {_PLACE[earns]}. {_sentence(document)}."
    return {"verdict": line, "earns_place": earns, "in_sample": in_sample, "notes": list(_notes(document))}


_PLACE = {
    True: "earns its place in the blend",
    False: "does not earn its place in the blend",
    None: "was judged by its books alone",
}


def _sentence(document: Mapping[str, Any]) -> str:
    """What each of its appearances is, beside what it stands beside."""
    found, chosen = document.get("portfolio"), document["chosen"]
    parts = [f"Its books: {_words(_of(document['books'], chosen))}"]
    if found:
        parts.append(f"traded alone: {_words(_of(found, chosen))}")
        parts.append(f"its tilt: {_words([found['tilt']]) if found['tilt'] else 'not served on these bars'}")
    return "; ".join(parts)


def _of(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [one for one in part["verdicts"] if one["of"] == name]


def _words(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """`beats x, not distinguishable from y and z`."""
    told = []
    for word, verb in ((BEATS, "beats"), (WORSE, "worse than"), (EQUAL, "not distinguishable from")):
        names = [one["baseline"] for one in verdicts if one["word"] == word]
        if names:
            told.append(f"{verb} {', '.join(names[:-1])}{' and ' if names[1:] else ''}{names[-1]}")
    return ", ".join(told)


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    """What a person would not see in the figures."""
    books, kept = document["books"], document["specialists"]
    seeds = [one for one in books["verdicts"] if one["of"] != "routed"]
    won = sum(one["word"] == BEATS for one in seeds)
    yield f"of {len(seeds)} seeds {won} beat {seeds[0]['baseline']}; {document['chosen']} is the general actor"
    if not books["actors"][document["chosen"]]["all"]["turnover"]:
        yield "the general actor never traded here: its figures are those of doing nothing"
    if len(seeds) < FEWEST_SEEDS:
        yield f"{len(seeds)} seeds show no spread: {FEWEST_SEEDS} are asked for"
    if document["served"] and not document["strength"]:
        yield "what its training found of the tilt gives it no strength: it changes nothing in the blend"
    if not document["served"]:
        yield f"it has no evidence on {document['data']['bar']} bars and says nothing there; its actors were judged"
    if kept and "routed" not in books["actors"]:
        yield f"it is served with specialists for {', '.join(kept)}: --specialist-router judges them too"
    if document["router"] and not kept:
        yield "no specialist was kept: the general actor is what a router would ask"


# ---------------------------------------------------------------- for people


def show(document: Mapping[str, Any]) -> None:
    """Verdict, books, portfolio."""
    say(document["verdict"])
    model, span = f"{document['version']} {document['digest'][:12]}", f"{document['from']} to {document['to']}"
    say(f"policy {model}, trained until {document['trained_until']}, judged from {span}")
    for note in document["notes"]:
        say(f"note: {note}")
    _show_books(document)
    if "portfolio" in document:
        _show_portfolio(document)


def _show_books(document: Mapping[str, Any]) -> None:
    books = document["books"]
    say(f"\n{books['windows']} windows of {books['bars']} bars, {len(books['symbols'])} assets, budgets "
        f"{', '.join(f'{one:,.0f}' for one in books['budgets'])} USD")  # fmt: skip
    rows = []
    for name, each in {**books["actors"], **books["beside"]}.items():
        label = name + " (chosen)" * (name == document["chosen"])
        rows += [(label, budget, *_cells(found, BOOKS)) for budget, found in each.items()]
    for budget, found in books["spread"].items():
        rows += [(label, budget, *cells) for label, cells in _spread(found, BOOKS)]
    _table(("books", "budget", *BOOKS), rows, left=2)
    for one in books["verdicts"]:
        say(f"{one['of']}: {one['sentence']}")
    found = books["evidence"]
    say(f"tilt: IC {_figure(found['ic'], 4)}, t {_figure(found['ic_t'], 2)} over {found['decisions']} decisions")


def _show_portfolio(document: Mapping[str, Any]) -> None:
    found = document["portfolio"]
    say(f"\n{found['days']} days, {found['capital']:,.0f} USD")
    rows = [(one["name"], *_cells(one, RUNS)) for one in found["runs"]]
    rows += [(label, *cells) for label, cells in _spread(found["spread"], RUNS)]
    _table(("portfolio", *RUNS), rows, left=1)
    for one in found["verdicts"]:
        say(f"{one['of']}: {one['sentence']}")
    if found["tilt"]:
        say(f"tilt: {found['tilt']['sentence']}")


def _spread(found: Mapping[str, Mapping[str, float | None]], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    middle = _cells({name: found[name]["median"] for name in names}, names)
    sides = [_cells({name: found[name][side] for name in names}, names) for side in ("low", "high")]
    return [(SPREAD, middle), (QUARTILES, [f"{low} .. {high}" for low, high in zip(*sides, strict=True)])]


def _cells(found: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    return [percent(found[name]) if name in SHARES else _figure(found[name], 2) for name in names]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> None:
    for line in aligned([head.replace("_", " ") for head in heads], rows, right=range(left, len(heads))):
        say(line)


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
