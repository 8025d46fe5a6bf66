"""Which model was in use when, and why it took over: an append-only file of one JSON line per promotion.

`models/promotions.jsonl` of the home. Nothing decides by it; it is what a person reads after a bad week, and what says
that a version was in use before, so that going back to it needs no duel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from evenkeel.errors import StateError
from evenkeel.units import iso

FILE = "promotions.jsonl"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One change of the model in use.

    version, digest  of the one that took over · before, before_digest  of the one that was in use, "" = none or refused
    forced           without a duel · why  in a sentence
    """

    kind: str
    version: str
    digest: str
    before: str
    before_digest: str
    forced: bool
    why: str


def append(models: Path, time_s: int, promotion: Promotion) -> None:
    """Write one down, at UTC s `time_s`. Raises StateError where the disk refuses."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        with (models / FILE).open("ab") as file:
            file.write(orjson.dumps({"time": iso(time_s), **asdict(promotion)}) + b"\n")
    except OSError as error:
        raise StateError(f"cannot write {models / FILE}: {error.strerror}; free space or make it writable") from error


def were_in_use(models: Path, kind: str) -> frozenset[str]:
    """Digests of the bundles of a kind that were in use here once; a line that cannot be read names none."""
    path = models / FILE
    lines = path.read_bytes().splitlines() if path.is_file() else []
    found: set[str] = set()
    for line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict) and row.get("kind") == kind:
            found |= {str(row.get("digest", "")), str(row.get("before_digest", ""))} - {""}
    return frozenset(found)
