"""`models ls|verify|promote`: which fitted models are there, whether they may be believed, and which one decides."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.cli import kalshi_training
from evenkeel.cli.candles import Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, aligned, emit, errors, fail, say
from evenkeel.errors import ArtifactError, EvidenceError, NotReadyError, UsageError
from evenkeel.units import DAY_S, duration, iso

FAILED = 1
EDGE = "edge"

app = typer.Typer(no_args_is_help=True, help="Fitted models: list, verify, promote.")


@dataclass(frozen=True, slots=True)
class Place:
    """A bundle's folder: `home` or `shipped`, and whether it is the one in use."""

    kind: str
    path: Path
    where: str
    in_use: bool


@app.command()
def ls(context: typer.Context, as_json: AsJson = False) -> None:
    """List the bundles of the home and those that came with the program, and which is in use."""
    made: Context = context.obj
    now = int(time.time())
    found = [_row(place, now) for place in _places(made.home)]
    if as_json:
        emit({"command": "models ls", "models": found})
        return
    if not found:
        say("no model is there: `evenkeel train alpha --data FILE` makes one")
        return
    heads = ("", "kind", "version", "digest", "where", "bars", "trained until", "strength", "age")
    for line in aligned(heads, [_cells(row) for row in found]):
        say(line)
    for row in found:
        if row["problem"]:
            say(f"{row['kind']} {row['version']}: {row['problem']}")


@app.command()
def verify(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="Only bundles of this kind.")] = None,
    version: Annotated[str | None, typer.Argument(help="Only this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check digests, features and golden output of every bundle; exit 1 with a sentence for each that is bad."""
    made: Context = context.obj
    places = [p for p in _places(made.home) if kind in (None, p.kind) and version in (None, p.path.name)]
    if not places:
        there = ", ".join(f"{p.kind} {p.path.name}" for p in _places(made.home)) or "nothing"
        raise NotReadyError(f"there is no model {kind or ''} {version or ''}".rstrip() + f" (there: {there}): train it")
    found = [_verified(place) for place in places]
    if as_json:
        emit({"command": "models verify", "ok": all(one["ok"] for one in found), "models": found})
    for one in found:
        if not one["ok"]:
            fail(ArtifactError(one["problem"]))
        elif not as_json:
            say(f"ok: {one['kind']} {one['version']} {one['digest'][:12]}, {', '.join(one['checked'])}")
    if not all(one["ok"] for one in found):
        raise typer.Exit(FAILED)


@app.command()
def promote(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="alpha, policy or kalshi.")],
    version: Annotated[str, typer.Argument(help="The challenger.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Candles after both were trained, on which the two are compared.")
    ] = None,
    holdout: Holdout = False,
    force: Annotated[
        bool, typer.Option("--force", help="No duel: back to a version that was in use, or past a refused champion.")
    ] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Put a version in use if it is better than the one in use; exit 4 where the champion stays."""
    from evenkeel.cli import duels
    from evenkeel.research.contest import KINDS

    if kind == kalshi_training.KIND:
        kalshi_training.promote(context.obj, version, duel=data is not None or holdout or force, as_json=as_json)
        return
    if kind not in KINDS:
        raise UsageError(f"kind {kind} cannot be promoted: take {', '.join(KINDS)} or {kalshi_training.KIND}")
    said = duels.decide(context.obj, duels.Wish(kind, version, data, holdout, force, config, overrides))
    if as_json:
        emit({"command": "models promote", **said.to_json()})
    if not (said.promoted or said.in_use):
        raise EvidenceError(said.sentence)
    if not as_json:
        say(said.sentence)
    if said.note:
        errors().print(f"note: {said.note}", soft_wrap=True)


def _places(home: Path) -> list[Place]:
    """Every bundle folder, of the home first; a checkout is home and shipped at once and is listed once."""
    from evenkeel.config import shipped

    own, theirs = home / "models", shipped() / "models"
    shelves = {"home": own} if own.resolve() == theirs.resolve() else {"home": own, "shipped": theirs}
    kinds = sorted({x.name for shelf in shelves.values() if shelf.is_dir() for x in shelf.iterdir() if x.is_dir()})
    return [
        Place(kind, shelf / kind / version, where, _same(shelf / kind / version, _in_use(kind, own, theirs)))
        for kind in kinds
        for where, shelf in shelves.items()
        for version in artifacts.versions(shelf, kind)
    ]


def _in_use(kind: str, home: Path, shipped: Path) -> Path | None:
    """The one in use; None also where CURRENT names one that is not there, which `doctor` and a run say."""
    try:
        return artifacts.chosen(kind, home, shipped)
    except ArtifactError:
        return None


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def _row(place: Place, now: int) -> dict[str, Any]:
    """One bundle; what its manifest does not say is null."""
    row: dict[str, Any] = {
        "kind": place.kind, "version": place.path.name, "where": place.where, "path": place.path,
        "in_use": place.in_use, "digest": None, "bars": [], "trained_until": None, "created": None, "expires": None,
        "expired": None, "age_days": None, "strength": {}, "problem": None,
    }  # fmt: skip
    try:
        bundle = artifacts.read(place.path, place.kind)
        return row | _said(bundle, now)
    except ArtifactError as error:
        return row | {"problem": str(error)}


def _said(bundle: Bundle, now: int) -> dict[str, Any]:
    manifest = bundle.manifest
    created, expires = manifest.get("created"), manifest.get("expires")
    until = manifest.get("train", {}).get("until")
    return {
        "digest": bundle.digest,
        "bars": [duration(int(bar)) for bar in manifest.get("bars", ())],
        "trained_until": None if until is None else iso(until),
        "created": None if created is None else iso(created),
        "expires": None if expires is None else iso(expires),
        "expired": None if expires is None else now > expires,
        "age_days": None if created is None else round((now - created) / DAY_S, 1),
        "strength": {
            duration(int(bar)): _strength(one)
            for bar, one in manifest.get("evidence", {}).items()
            if int(bar) in manifest.get("bars", ())
        }
        | ({"its ladders": _strength(manifest["skill"], prior=0.0)} if bundle.kind == EDGE else {}),
    }


def _strength(evidence: Mapping[str, Any], **prior: float) -> float:
    from evenkeel.signals.blend import strength

    ic, t = (float("nan") if evidence[name] is None else float(evidence[name]) for name in ("ic", "ic_t"))
    return round(strength(ic, t, **prior), 6)


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    strength = ", ".join(f"{value:.4f} on {bar}" for bar, value in row["strength"].items())
    age = "-" if row["age_days"] is None else f"{row['age_days']:.0f} d"
    if row["expired"]:
        age += f", expired {row['expires'][:10]}"
    elif row["expires"]:
        age += f", until {row['expires'][:10]}"
    if row["problem"]:
        age = "damaged, see below"
    return (
        "*" if row["in_use"] else "", row["kind"], row["version"], (row["digest"] or "-")[:12], row["where"],
        ", ".join(row["bars"]) or "-", (row["trained_until"] or "-")[:10], strength or "-", age,
    )  # fmt: skip


def _verified(place: Place) -> dict[str, Any]:
    """What was checked of a bundle, which a run would load, and found."""
    from evenkeel.cli.duels import believed
    from evenkeel.events import fitted
    from evenkeel.research.contest import KINDS
    from evenkeel.signals import edge

    row: dict[str, Any] = {
        "kind": place.kind, "version": place.path.name, "path": place.path, "in_use": place.in_use, "digest": None,
        "ok": True, "checked": [], "problem": None,
    }  # fmt: skip
    try:
        bundle = artifacts.read(place.path, place.kind)
        row |= {"digest": bundle.digest, "checked": ["digests"]}
        if place.kind in KINDS:
            believed(place.kind, bundle.path)
            row["checked"] = ["digests", *KINDS[place.kind].checked]
        if place.kind == EDGE:
            edge.load(bundle.path)
            row["checked"] = ["digests", "skill"]
        elif place.kind == kalshi_training.KIND:
            fitted.load(bundle.path)
            row["checked"] = ["digests", "golden output"]
    except ArtifactError as error:
        row |= {"ok": False, "problem": str(error)}
    return row
