"""Where courses stand, on disk: one file for each, replaced at once after every round, refused where anything is odd.

A file is one line (what it is, SHA-256 of the rest), then arrays in numpy's own format, without pickle. It names what
was observed, the settings and the data, so that only the same training goes on from it.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evenkeel.errors import StateError
from evenkeel.research.courses import Course, Mark, PolicySettings, Standing
from evenkeel.research.exams import Figures
from evenkeel.signals.policy import NAMES

SUFFIX = ".checkpoint"
_HEAD = b"evenkeel policy checkpoint 1 "
_PARTS = ("learner", "kept", "base")
_AGAIN = "begin anew in an empty folder"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of checkpoints of one training. data  digest of what is learned from."""

    folder: Path
    settings: PolicySettings
    data: str

    def keep(self, course: Course, standing: Standing) -> None:
        """Write where a course stands: it is there whole, also after a power cut. Raises StateError if it cannot be."""
        said = {
            "identity": self._identity(), "course": course.name, "rounds": standing.rounds, "done": standing.done,
            "best": standing.best, "curve": [asdict(mark) for mark in standing.curve],
            "rival": standing.rival and asdict(standing.rival),
        }  # fmt: skip
        arrays = {f"{part}/{name}": x for part in _PARTS for name, x in getattr(standing, part).items()}
        held = io.BytesIO()
        np.savez(held, allow_pickle=False, **{**arrays, "said": np.frombuffer(orjson.dumps(said), dtype=np.uint8)})
        body = held.getvalue()
        try:
            _replace(self._path(course), _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        except OSError as error:
            raise StateError(
                f"{self.folder} cannot be written ({error.strerror}): free space or name another"
            ) from error

    def take(self, course: Course) -> Standing | None:
        """Where a course stood; None where it has not begun. Raises StateError for a file that must not be used."""
        path = self._path(course)
        if not path.is_file():
            return None
        arrays = _read(path)
        said = orjson.loads(arrays.pop("said").tobytes())
        self._refuse_other(path, said["identity"], course.name == said["course"])
        parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
        for name, x in arrays.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = x
        rival = None if said["rival"] is None else _figures(said["rival"])
        curve = tuple(_mark(mark) for mark in said["curve"])
        return Standing(said["rounds"], said["done"], said["best"], curve, rival, **parts)

    def refuse_used(self) -> None:
        """Raise StateError where checkpoints lie already: they are never overwritten unasked."""
        if any(self.folder.glob(f"*{SUFFIX}")):
            raise StateError(f"{self.folder} holds checkpoints: give --resume to go on from them, or an empty folder")

    def _path(self, course: Course) -> Path:
        return self.folder / f"{course.name}{SUFFIX}"

    def _identity(self) -> dict[str, Any]:
        settings = orjson.loads(orjson.dumps(asdict(self.settings)))
        return {"observations": list(NAMES), "settings": settings, "data": self.data}

    def _refuse_other(self, path: Path, theirs: Mapping[str, Any], same_course: bool) -> None:  # noqa: FBT001
        ours = self._identity()
        if theirs["observations"] != ours["observations"]:
            odd = sorted(set(theirs["observations"]) ^ set(NAMES))
            what = f" ({', '.join(odd[:4])})" if odd else ", in another order"
            raise StateError(f"{path} was written by a training that observed other inputs{what}: {_AGAIN}")
        differ = [name for name, value in ours["settings"].items() if theirs["settings"].get(name) != value]
        if differ:
            name = differ[0]
            was, now = theirs["settings"].get(name), ours["settings"][name]
            raise StateError(f"{path} was written with {name} {was}, now it is {now}: give the same, or {_AGAIN}")
        if theirs["data"] != ours["data"] or not same_course:
            raise StateError(f"{path} was written on other data, or renamed: give the same candles, or {_AGAIN}")


def _read(path: Path) -> dict[str, Any]:
    """Arrays of a file whose bytes are as they were written."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        if head != _HEAD + hashlib.sha256(body).hexdigest().encode():
            raise StateError(f"{path} is damaged, or no checkpoint of this version: remove it, or {_AGAIN}")
        with np.load(io.BytesIO(body), allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StateError(f"{path} cannot be read ({type(error).__name__}): remove it, or {_AGAIN}") from error


def _replace(path: Path, data: bytes) -> None:
    """The new bytes or the old ones, never a mixture; durable when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _mark(said: Mapping[str, Any]) -> Mark:
    return Mark(said["round"], said["reward"], _figures(said["figures"]), tuple(_figures(one) for one in said["each"]))


def _figures(said: Mapping[str, float | None]) -> Figures:
    """Figures of JSON, which has no NaN."""
    return Figures(**{name: math.nan if value is None else value for name, value in said.items()})
