"""Which fitted model is this, and may it be believed? A folder of files and a manifest in, a verified `Bundle` out.

`models/<kind>/<version>/` holds the model's files and `manifest.json`, which names the SHA-256 of each of them and of
itself. The law: a bundle is read whole and unchanged or not at all, and an existing one is never written again. What is
inside the files is the opinion's own business (`signals.alpha` replays the golden output).

`models/<kind>/CURRENT` names the version in use. It is written in the home only; without it the newest shipped bundle
is in use, so that what was trained here decides only once it was promoted.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from evenkeel.errors import ArtifactError, NoEvidenceError
from evenkeel.units import duration

SCHEMA = 1
"""Raised with every change of what a manifest says."""

MANIFEST = "manifest.json"
CURRENT = "CURRENT"
_LARGEST = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified folder: what its manifest says and the bytes of its files.

    digest  SHA-256 of the manifest, which names the SHA-256 of every file: the model's identity in plan and journal
    """

    path: Path
    kind: str
    version: str
    digest: str
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]


def write(folder: Path, kind: str, version: str, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write `folder/<kind>/<version>` at once or not at all; the manifest gets schema, kind, version and digests.

    folder  `models` of the home. Raises ArtifactError for a version that exists or a name that is none.
    """
    target = free(folder, kind, version)
    sums = {_plain(name): hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    filled = {**manifest, "schema": SCHEMA, "kind": kind, "version": version, "files": sums}
    filled["digest"] = _digest(filled)
    making = target.with_name(f".{version}.{secrets.token_hex(4)}")
    try:
        making.mkdir(parents=True)
        for name, data in files.items():
            _durable(making / name, data)
        _durable(making / MANIFEST, orjson.dumps(filled, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        making.rename(target)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        raise ArtifactError(
            f"{target} cannot be written ({error.strerror}): free space or give another home"
        ) from error
    return read(target, kind)


def free(folder: Path, kind: str, version: str) -> Path:
    """Where a new bundle will lie. Raises ArtifactError for a version that exists or a name that is none."""
    target = folder / kind / _plain(version)
    if target.exists():
        raise ArtifactError(f"{target} exists, and bundles are never overwritten: give another version")
    return target


def read(path: Path, kind: str) -> Bundle:
    """The bundle in a folder, every byte checked. Raises ArtifactError, in one sentence, for anything wrong with it."""
    manifest = _manifest(path)
    schema = manifest.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ArtifactError(f"{path} has schema {schema}, this version reads up to {SCHEMA}: update evenkeel")
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{path} is a bundle of kind {manifest.get('kind')}, {kind} is wanted: name another folder")
    digest = manifest.get("digest")
    if digest != _digest(manifest):
        raise ArtifactError(f"{path / MANIFEST} was changed after it was written: {_REPAIR}")
    sums = manifest.get("files")
    if not isinstance(sums, dict) or not sums:
        raise ArtifactError(f"{path / MANIFEST} names no files: {_REPAIR}")
    return Bundle(
        path=path,
        kind=kind,
        version=str(manifest.get("version", path.name)),
        digest=str(digest),
        manifest=manifest,
        files={name: _verified(path / _plain(name), str(sums[name])) for name in sorted(sums)},
    )


def load(path: Path, kind: str, *, features_digest: str, feature_names: Sequence[str], bar_s: int) -> Bundle:
    """`read`, and refuse a model that was fitted on other features or has no evidence on this bar.

    features_digest, feature_names  what this program computes, in its order · bar_s  the bar to be served, s
    Raises ArtifactError; NoEvidenceError where nothing but the bar is wrong.
    """
    bundle = read(path, kind)
    fitted = bundle.manifest.get("features", {})
    names = tuple(fitted.get("names", ()))
    if names != tuple(feature_names):
        odd = sorted(set(names) ^ set(feature_names))
        what = f"other features ({', '.join(odd[:4])})" if odd else "the same features in another order"
        raise ArtifactError(f"{path} was fitted on {what}: train a new version")
    if fitted.get("digest") != features_digest:
        raise ArtifactError(
            f"{path} was fitted on features {str(fitted.get('digest'))[:12]}, these are {features_digest[:12]} "
            "(a formula has changed): train a new version"
        )
    bars = [int(bar) for bar in bundle.manifest.get("bars", ())]
    if bar_s not in bars:
        measured = ", ".join(duration(bar) for bar in bars) or "none"
        raise NoEvidenceError(
            f"{path} has no evidence on {duration(bar_s)} bars (measured: {measured}): serve one of these bars, or "
            "train with such bars"
        )
    return bundle


def versions(folder: Path, kind: str) -> tuple[str, ...]:
    """Versions of a kind in a `models` folder, oldest first (v2 before v10)."""
    place = folder / kind
    if not place.is_dir():
        return ()
    found = [x.name for x in place.iterdir() if (x / MANIFEST).is_file() and not x.name.startswith(".")]
    return tuple(sorted(found, key=_natural))


def next_version(folders: Sequence[Path], kind: str) -> str:
    """The first of v1, v2, ... that is later than every one in the `models` folders."""
    numbers = [re.fullmatch(r"v(\d+)", name) for folder in folders for name in versions(folder, kind)]
    return f"v{max([int(match[1]) for match in numbers if match], default=0) + 1}"


def chosen(kind: str, home: Path, shipped: Path) -> Path | None:
    """The folder of the bundle in use; None where there is none.

    home, shipped  `models` folders: what CURRENT of the home names, in the home or shipped; else the newest shipped.
    Raises ArtifactError if CURRENT names a version that is in neither.
    """
    pointer = home / kind / CURRENT
    if pointer.is_file():
        return locate(kind, _plain(pointer.read_text(encoding="utf-8").strip()), home, shipped)
    newest = versions(shipped, kind)
    return shipped / kind / newest[-1] if newest else None


def locate(kind: str, version: str, home: Path, shipped: Path) -> Path:
    """The folder of a version, in the home or shipped. Raises ArtifactError if it is in neither."""
    for folder in (home, shipped):
        if (folder / kind / _plain(version) / MANIFEST).is_file():
            return folder / kind / version
    known = ", ".join(dict.fromkeys(versions(home, kind) + versions(shipped, kind))) or "none"
    raise ArtifactError(f"{kind} {version} is neither under {home} nor shipped (there: {known}): promote one of these")


def promote(kind: str, version: str, home: Path, shipped: Path) -> None:
    """Make a version the one in use: CURRENT of the home, replaced at once.

    Raises ArtifactError if it is damaged, or the home cannot be written.
    """
    read(locate(kind, version, home, shipped), kind)
    place = home / kind
    draft = place / f".{CURRENT}.{secrets.token_hex(4)}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        _durable(draft, f"{version}\n".encode())
        draft.replace(place / CURRENT)
    except OSError as error:
        raise ArtifactError(f"{place / CURRENT} cannot be written ({error.strerror}): make it writable") from error


_REPAIR = "restore the bundle from where it came, or train a new version"


def _manifest(path: Path) -> dict[str, Any]:
    data = _bytes(path / MANIFEST)
    try:
        manifest = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"{path / MANIFEST} is no JSON (line {error.lineno}): {_REPAIR}") from None
    if not isinstance(manifest, dict):
        raise ArtifactError(f"{path / MANIFEST} is no JSON object: {_REPAIR}")
    return manifest


def _verified(path: Path, wanted: str) -> bytes:
    data = _bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise ArtifactError(f"{path} has SHA-256 {found[:12]}, its manifest says {wanted[:12]}: {_REPAIR}")
    return data


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise ArtifactError(f"{path} is larger than {_LARGEST >> 20} MiB, no model of ours is: {_REPAIR}")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}): {_REPAIR}") from None


def _digest(manifest: Mapping[str, Any]) -> str:
    blank = {**manifest, "digest": ""}
    return hashlib.sha256(orjson.dumps(blank, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _durable(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ArtifactError(f"{name!r} is no name of a version or file: use letters, digits, dot, dash, underscore")
    return name


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
