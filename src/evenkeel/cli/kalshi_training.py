"""`train kalshi` and `evaluate kalshi`: settled contracts in; what models of them are worth, and bundles, out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenkeel import artifacts
from evenkeel.cli import bundles, candles
from evenkeel.cli.output import AsJson, Context, aligned, emit, errors, say
from evenkeel.cli.progress import progress
from evenkeel.errors import UsageError
from evenkeel.units import iso

if TYPE_CHECKING:
    from evenkeel.artifacts import Bundle
    from evenkeel.research.kalshi.evidence import Study
    from evenkeel.research.kalshi.source import Source

KIND = "kalshi"

Data = Annotated[
    Path, typer.Option("--data", help="Parquet file of hourly ladders, NBA candles or 15-minute contracts.")
]
Results = Annotated[
    Path | None, typer.Option("--results", help="Parquet file of the games' results, with NBA candles.")
]
Before = Annotated[
    str | None,
    typer.Option(
        help="UTC date; learned from before it, judged from it on. Default: half the games, 2/3 of the closes."
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Every random number derives from it.")]


def train(
    context: typer.Context,
    data: Data,
    model: Annotated[
        Literal["lognormal", "calibration", "ensemble"],
        typer.Option(
            help="Part to make: ladders give the lognormal's skill, games a calibration, quarters an ensemble."
        ),
    ],
    results: Results = None,
    before: Before = None,
    seed: Seed = 7,
    version: Annotated[str | None, typer.Option("--version", help="Name of the bundle under models/kalshi.")] = None,
    onto: Annotated[
        str | None, typer.Option(help="Version whose other parts are kept; default: the one in use, `none` for none.")
    ] = None,
    expires_days: Annotated[int, typer.Option(min=1, max=3_650, help="Days until the part expires.")] = 180,
    as_json: AsJson = False,
) -> None:
    """Fit on settled contracts before a date, judge after it, and write a new bundle with that evidence.

    The desk stakes by the evidence: a series without proven skill is refused.
    """
    from evenkeel.research.kalshi import bundle as writing

    made, began = context.obj, time.monotonic()
    name = _new_version(made.home, version)
    base = _base(made.home, onto)
    source = _read(data, results, model)
    study = _study(source, candles.moment("--before", before), seed, quiet=as_json)
    done = writing.write(
        made.home / "models", name, study, source, base, seed=seed, created=int(time.time()), days=expires_days
    )
    document = {
        "command": f"train {KIND}", "version": done.version, "path": done.path, "digest": done.digest,
        "files": done.manifest["files"], "parts": sorted(done.manifest["parts"]), "seed": seed,
        "expires": iso(done.manifest["parts"][model]["expires"]), "base": done.manifest["base"],
        **_of(source), **study.to_json(), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    say(f"{KIND} {done.version} {done.digest[:12]} in {done.path}: {', '.join(document['parts'])}")
    _show(document)
    say(f"It decides nothing yet: `evenkeel models promote {KIND} {done.version}`")


def evaluate(
    context: typer.Context,
    data: Data,
    results: Results = None,
    before: Before = None,
    seed: Seed = 7,
    version: Annotated[
        str | None, typer.Option("--version", help="Judge this bundle on quotes after its training, and fit nothing.")
    ] = None,
    plant: Annotated[
        Literal["rows"] | None, typer.Option(help="Split by random rows: it seems to win, and must be refused.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model knows more than the market's price: scores, curves and back-tests, out of time.

    Intervals are of 90 %, over independent events. Exit 4 where the split leaks.
    """
    source = _read(data, results, None)
    if plant is not None:
        _planted(source, seed)
    if version is not None and before is not None:
        raise UsageError("--before and --version exclude each other: a bundle's training has its own end")
    when = candles.moment("--before", before)
    document: dict[str, Any] = {"command": f"evaluate {KIND}", **_of(source)}
    if version is not None:
        document |= _judged(context.obj, version, source, seed)
    else:
        document |= {"version": None, **_study(source, when, seed, quiet=as_json).to_json()}
    if as_json:
        emit(document)
    else:
        _show(document)


def promote(made: Context, version: str, *, duel: bool, as_json: bool) -> None:
    """Put a bundle in use. No duel is fought: what it may stake is decided by the evidence that it carries.

    Raises ArtifactError for a bundle that is refused, UsageError for the options of a duel.
    """
    from evenkeel.events import fitted

    if duel:
        raise UsageError(
            f"{KIND} is promoted without --data, --holdout and --force: its evidence decides what is staked"
        )
    shelves = bundles.shelves(made.home)
    known = fitted.load(artifacts.locate(KIND, version, *shelves))
    artifacts.promote(KIND, version, *shelves)
    words = [text for part in known.parts for text in part.words.values()]
    if as_json:
        emit({"command": "models promote", "kind": KIND, "version": version, "promoted": True, "words": words})
        return
    say(f"{KIND} {version} is in use")
    for text in words:
        say(f"- {text}")


def _read(data: Path, results: Path | None, wanted: str | None) -> Source:
    """The file, of the kind that a part needs. Raises UsageError for another kind, DataError for one that is none."""
    from evenkeel.research.kalshi import source

    found = source.read(data, results)
    if wanted not in (None, found.part):
        raise UsageError(
            f"--model {wanted} does not learn from {data}: it gives a {found.part}; give --model {found.part}"
        )
    return found


def _new_version(home: Path, wanted: str | None) -> str:
    shelves = bundles.shelves(home)
    if wanted is None:
        return artifacts.next_version(shelves, KIND)
    for shelf in shelves:
        artifacts.free(shelf, KIND, wanted)
    return wanted


def _base(home: Path, onto: str | None) -> Bundle | None:
    """The bundle whose other parts are kept: the one named, or in use, if any."""
    if onto == "none":
        return None
    path = artifacts.chosen(KIND, *bundles.shelves(home)) if onto is None else bundles.find(home, KIND, onto, "--onto")
    return None if path is None else artifacts.read(path, KIND)


def _of(source: Source) -> dict[str, Any]:
    quotes = source.quotes
    judged = quotes.pick(quotes.judged)
    return {"data": {
        "files": [path.name for path in source.files], "quotes": len(quotes.time), "judged": len(judged.time),
        "from": iso(int(quotes.time.min())), "to": iso(int(quotes.time.max())),
    }}  # fmt: skip


def _study(source: Source, before: int | None, seed: int, *, quiet: bool) -> Study:
    """The study of a file, with a progress bar where it takes longer than a breath."""
    from evenkeel.research.kalshi.fit_ensemble import Settings

    settings = Settings()
    fits = source.fits(settings)
    with progress(fits, "kalshi", quiet=quiet or not fits, unit="fits") as advance:
        return source.study(before, seed, settings, advance)


def _judged(made: Context, version: str, source: Source, seed: int) -> dict[str, Any]:
    """A bundle's part on quotes after its training."""
    from evenkeel.errors import NotReadyError
    from evenkeel.events import fitted

    known = fitted.load(bundles.find(made.home, KIND, version))
    part = next((one for one in known.parts if one.name == source.part), None)
    if part is None:
        raise NotReadyError(f"{KIND} {known.version} has no {source.part}: train one with `train {KIND}`")
    found = source.judged(part.model, part.train_end, seed)
    return {
        "version": known.version, "digest": known.digest, "model": part.name,
        "trained_until": None if part.train_end is None else iso(part.train_end), "backtests": [],
        **found.to_json(), "words": [found.words, *(one.words for one in found.worth)],
    }  # fmt: skip


def _planted(source: Source, seed: int) -> None:
    from evenkeel.errors import EvidenceError
    from evenkeel.research.kalshi import study_quarters
    from evenkeel.research.kalshi.fit_ensemble import Settings
    from evenkeel.research.kalshi.quarters import Quarters

    if not isinstance(source.content, Quarters):
        raise UsageError("--plant rows is for 15-minute contracts, where a market has many rows: give their file")
    won = study_quarters.planted(source.content, seed, Settings())
    raise EvidenceError(f"the planted leak was not seen: {won}")


def _show(document: Mapping[str, Any]) -> None:
    data = document["data"]
    said = f", trained until {document['trained_until']}" if document["trained_until"] else ", nothing is fitted"
    say(f"{', '.join(data['files'])}: {data['quotes']} quotes, {data['judged']} of them judged, "
        f"{data['from']} .. {data['to']}")  # fmt: skip
    say(f"{document['model']}{said}")
    for table in _tables(document):
        say()
        for line in table:
            say(line)
    say()
    for words in document["words"]:
        if words.startswith("WARNING"):
            errors().print(words + _artefact(document), soft_wrap=True)
        else:
            say(f"- {words}")


def _artefact(document: Mapping[str, Any]) -> str:
    """The scores over all contracts: what the warning is about."""
    if not (found := document.get("all_contracts")):
        return ""
    ours, theirs = found["brier"]["value"], found["brier_market"]["value"]
    return f" (Brier {ours:.4f}, of the price {theirs:.4f}, over {found['rows']} quotes)"


def _tables(document: Mapping[str, Any]) -> Iterator[list[str]]:
    """Tables of a study: scores, reliability, and what else it has."""
    yield _scores(document["scores"])
    yield _curves(document["reliability"])
    if document.get("curves"):
        yield _steps(document["curves"])
    if document.get("payoffs"):
        yield _payoffs(document["payoffs"])
    if document.get("members"):
        heads = ("member", "chosen", "Brier", "log loss")
        market = {"name": "market", "parameter": None, "brier": document["scores"]["brier_market"],
                  "log_loss": document["scores"]["log_loss_market"]}  # fmt: skip
        yield aligned(heads, [_member(one) for one in (*document["members"], market)], right=(1, 2, 3))


def _scores(scores: Mapping[str, Any]) -> list[str]:
    """Of model and market on the same quotes, and by how much they differ."""
    kinds = (("model", ""), ("market", "_market"), ("difference", "_difference"))
    rows = [
        (name, *(cell for score in ("brier", "log_loss") for cell in _estimate(scores[score + kind])))
        for name, kind in kinds
    ]
    return aligned(("said by", "Brier", "90 % interval", "log loss", "90 % interval"), rows, right=(1, 3))


def _estimate(one: Mapping[str, Any]) -> tuple[str, str]:
    value, low, high = ("-" if one[name] is None else f"{one[name]:.4f}" for name in ("value", "low", "high"))
    return value, "-" if low == "-" else f"[{low}, {high}]"


def _curves(reliability: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """How often came what model and market said."""
    rows = [
        (name, _span(one), one["rows"], one["came"]["clusters"], f"{one['said']:.3f}",
         f"{one['came']['value']:.3f}", _ends(one["came"]))
        for name, curve in reliability.items()
        for one in curve
    ]  # fmt: skip
    return aligned(("said by", "between", "quotes", "events", "said", "came", "90 % interval"), rows, right=range(2, 6))


def _steps(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps of the calibration with their samples."""
    rows = [
        (when, f"{price:.3f}", f"{p:.3f}", f"{count:.0f}", f"[{low:.3f}, {high:.3f}]")
        for when, one in zip(("noon", "noon, a day before"), curves, strict=True)
        for price, p, count, (low, high) in zip(one["price"], one["p"], one["count"], one["interval"], strict=True)
    ]
    return aligned(("learned at", "mean price", "came", "games", "80 % interval"), rows, right=(1, 2, 3))


def _payoffs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Win rate against what was paid."""
    cells = [
        (_span(one), one["bets"], f"{one['win_rate']['value']:.3f}", _ends(one["win_rate"]), f"{one['break_even']:.3f}",
         f"{one['roi']['value']:+.3f}", _ends(one["roi"]))
        for one in rows
    ]  # fmt: skip
    heads = ("paid between", "bets", "win rate", "90 % interval", "break-even", "return", "90 % interval")
    return aligned(heads, cells, right=(1, 2, 4, 5))


def _member(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    chosen = "-" if one["parameter"] is None else f"{one['parameter']:g}"
    return one["name"], chosen, f"{one['brier']['value']:.4f}", f"{one['log_loss']['value']:.4f}"


def _span(one: Mapping[str, Any]) -> str:
    return f"{one['from']:.2f} .. {one['to']:.2f}"


def _ends(came: Mapping[str, Any]) -> str:
    return "-" if came["low"] is None else f"[{came['low']:.3f}, {came['high']:.3f}]"
