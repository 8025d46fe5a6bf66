"""One state file as bytes: how it is written, and how it is believed.

    {"schema": 1, "sha256": ..., "sequence": n, "wall_written": ..., "memory": {...}, "view": {...}}

The digest covers the exact bytes with its own 64 digits set to zero, so one changed byte anywhere, white space
included, is damage. A file is judged damaged first and too new afterwards: a flipped schema digit is damage.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evenkeel.errors import StateError
from evenkeel.store.codec import dumps, from_json, to_json
from evenkeel.types import Memory
from evenkeel.units import iso

SCHEMA = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Schema n -> function that turns a document of schema n into one of schema n + 1."""

_HEAD = re.compile(rb'\A\{\n  "schema": (\d{1,6}),\n  "sha256": "([0-9a-f]{64})",\n')
_ZEROS = b"0" * 64
_VOLATILE = frozenset({"sequence", "attempts", "boot"})


class _SchemaError(StateError):
    """The schema is not ours to read."""


class DamagedError(StateError):
    """The bytes are not what was written."""


@dataclass(frozen=True, slots=True)
class Document:
    """A state file that was believed."""

    memory: Memory
    view: Mapping[str, Any]


def compose(memory: bytes, view: bytes, sequence: int, wall_written: int) -> bytes:
    """The bytes of a state file; memory and view are laid out already (see `layout`)."""
    before = b'{\n  "schema": %d,\n  "sha256": "' % SCHEMA
    after = b'",\n  "sequence": %d,\n  "wall_written": "%s",\n  "memory": %s,\n  "view": %s\n}\n' % (
        sequence,
        iso(wall_written).encode(),
        memory,
        view,
    )
    digest = hashlib.sha256(before)
    digest.update(_ZEROS)
    digest.update(after)
    return before + digest.hexdigest().encode() + after


def parse(raw: bytes, name: str, kind: type[Memory] = Memory) -> Document:
    """The document in the bytes of the file `name`; its memory is of this kind.

    Raises DamagedError if the digest does not match; StateError if the file is whole but of a schema that this version
    does not know, or holds keys that it does not know.
    """
    head = _HEAD.match(raw)
    if head is None:
        raise DamagedError(f"{name} is damaged: it does not begin as a state file does")
    start, end = head.span(2)
    if hashlib.sha256(raw[:start] + _ZEROS + raw[end:]).hexdigest().encode() != head[2]:
        raise DamagedError(f"{name} is damaged: its SHA-256 does not match its content")
    try:
        body = _current(orjson.loads(raw), int(head[1]), name)
        return Document(memory=from_json(kind, body["memory"]), view=body["view"])
    except (ValueError, KeyError) as error:
        raise DamagedError(f"{name} is damaged: it is not the JSON of a state file") from error
    except _SchemaError:
        raise
    except StateError as error:
        raise StateError(f"{name} is whole but cannot be read: {error}; use the version that wrote it") from error


def _current(body: dict[str, Any], found: int, name: str) -> dict[str, Any]:
    if found > SCHEMA:
        raise _SchemaError(
            f"{name} has schema {found}, this version knows up to {SCHEMA}: "
            "install the newer evenkeel that wrote it, or restore a backup of state/"
        )
    for version in range(found, SCHEMA):
        if version not in MIGRATIONS:
            raise _SchemaError(f"{name} has schema {found}, which this version cannot migrate to {SCHEMA}")
        body = MIGRATIONS[version](body)
    return body


def state_sha256(memory: Memory) -> str:
    """SHA-256 of what is remembered, without what differs between equal runs.

    Left out at every depth: `sequence`, `attempts`, `boot` and `wall_*`.
    """
    stable = _without_volatile(to_json(memory))
    return hashlib.sha256(dumps(stable, ordered=True)).hexdigest()


def _without_volatile(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_volatile(item)
            for key, item in value.items()
            if key not in _VOLATILE and not key.startswith("wall_")
        }
    if isinstance(value, list | tuple):
        return [_without_volatile(item) for item in value]
    return value
