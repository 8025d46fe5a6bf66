"""What goes wrong, on which call? Rules -> the faults that strike a request, by its number or by a seeded draw.

A rule counts the calls that its method and path match, and strikes call `first` and the `count - 1` after it, each with
`probability`. The law: what strikes the n-th call of a rule depends on (seed, rule, n) alone, never on the time.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from evenkeel.errors import UsageError

SPOILING: Final = {
    "reset": "the connection is reset without an answer",
    "status": "answers `status` with a plain text",
    "rate_limit": "answers 429, with Retry-After where `seconds` is given",
    "maintenance": "answers 503 with a page for people",
    "html": "answers 200 with a proxy's page instead of JSON",
    "huge": "answers 200 with `size` bytes of useless JSON",
    "stale": "gives the previous answer of the same path again, where there is one",
}
"""Kinds that replace the answer. `accepted: true` = the venue did what was asked and only the answer is lost."""

PASSING: Final = {
    "latency": "waits `seconds` before the venue is asked; `accepted: true` = after it did what was asked",
    "skew": "the venue's clock is `seconds` ahead (negative: behind)",
    "precision": "`asset` has other `price_decimals` or `amount_decimals`",
    "suspend": "`asset` cannot be traded",
    "lost_cancel": "a cancel is confirmed and not done",
    "partial": "an order fills by `fraction` only, at venues that know partial fills",
    "gap": "a message of a stream is left out, at venues that number them",
}
"""Kinds with which the venue itself answers, late or differently."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of a plan.

    kind     one of SPOILING and PASSING · path, method, asset  patterns with `*` · accepted  see SPOILING
    first    number of the first matching call that it may strike, from 1 · count  how many from there; None = all
    seconds  of latency, skew, Retry-After · size  bytes · fraction  of the quantity
    """

    kind: str
    path: str = "*"
    method: str = "*"
    first: int = 1
    count: int | None = None
    probability: float = 1.0
    accepted: bool = False
    seconds: float = 0.0
    status: int = 500
    size: int = 33_554_432
    asset: str = "*"
    price_decimals: int | None = None
    amount_decimals: int | None = None
    fraction: float = 0.5

    @property
    def spoils(self) -> bool:
        """Whether it replaces the venue's answer."""
        return self.kind in SPOILING


class Faults:
    """The plan of one sandbox; from any thread."""

    def __init__(self, rules: Iterable[Fault] = (), *, seed: int = 0) -> None:
        """`seed` decides the draws of rules with a probability below 1."""
        self._seed = seed
        self._lock = threading.Lock()
        self.replace(rules)

    def replace(self, rules: Iterable[Fault]) -> None:
        """Another plan from the next call on; all counts begin anew."""
        with self._lock:
            self._rules = tuple(rules)
            self._calls = [0] * len(self._rules)
            self._struck = [0] * len(self._rules)

    def draw(self, method: str, path: str) -> tuple[Fault, ...]:
        """The faults that strike this call, in the plan's order; each asking counts as a call."""
        with self._lock:
            matching = [i for i, rule in enumerate(self._rules) if _matches(rule, method, path)]
            for i in matching:
                self._calls[i] += 1
            hits = [i for i in matching if _strikes(self._rules[i], self._seed, i, self._calls[i])]
            for i in hits:
                self._struck[i] += 1
            return tuple(self._rules[i] for i in hits)

    def to_json(self) -> list[dict[str, Any]]:
        """Every rule with the calls that it matched and the calls that it struck."""
        with self._lock:
            counted = zip(self._rules, self._calls, self._struck, strict=True)
            return [{**asdict(rule), "calls": calls, "struck": struck} for rule, calls, struck in counted]


def struck(scope: Mapping[str, Any], kind: str, asset: str = "") -> Fault | None:
    """The first fault of a kind that strikes an ASGI request, for an asset where one is named; None = none does."""
    found: Sequence[Fault] = scope.get("state", {}).get("struck", ())
    return next((f for f in found if f.kind == kind and (not asset or fnmatchcase(asset, f.asset))), None)


def shift(scope: Mapping[str, Any]) -> float:
    """By how many seconds the venue's clock is ahead in this request."""
    fault = struck(scope, "skew")
    return 0.0 if fault is None else fault.seconds


def read(path: Path) -> tuple[Fault, ...]:
    """The rules in a YAML or JSON file: a list, or a mapping with the list under `faults`. Raises UsageError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"fault plan {path} cannot be read ({error}): name a YAML or JSON file") from error
    except yaml.YAMLError as error:
        raise UsageError(f"fault plan {path} is no YAML ({' '.join(str(error).split())}): correct it") from error
    return parse(document.get("faults") if isinstance(document, Mapping) else document)


def parse(document: Any) -> tuple[Fault, ...]:
    """Rules from plain data. Raises UsageError, naming the rule, the key and the limit."""
    if not isinstance(document, list):
        raise UsageError("a fault plan is a list of rules, such as [{kind: reset, path: /roostoo/*, first: 3}]")
    return tuple(_rule(raw, f"fault {number}") for number, raw in enumerate(document, 1))


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "bool": (bool,),
}
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "first": (1, 1e9), "count": (1, 1e9), "probability": (0, 1), "seconds": (-1e6, 1e6), "status": (400, 599),
    "size": (1, 1 << 30), "price_decimals": (0, 18), "amount_decimals": (0, 18), "fraction": (0, 1),
}  # fmt: skip


def _rule(raw: Any, name: str) -> Fault:
    if not isinstance(raw, Mapping):
        raise UsageError(f"{name} is {raw!r}: write keys such as kind, path and first")
    for key, value in raw.items():
        _check(name, key, value)
    if raw.get("kind") not in {**SPOILING, **PASSING}:
        raise UsageError(f"{name}: kind {raw.get('kind')!r} is none of {', '.join({**SPOILING, **PASSING})}")
    if raw["kind"] == "latency" and raw.get("seconds", 0) < 0:
        raise UsageError(f"{name}: a latency of {raw['seconds']} s is in the past: give 0 or more")
    return Fault(**raw)


def _check(name: str, key: Any, value: Any) -> None:
    kinds = {field.name: str(field.type) for field in fields(Fault)}
    if key not in kinds:
        raise UsageError(f"{name}: no key {key!r}: use {', '.join(kinds)}")
    if not isinstance(value, _TYPES[kinds[key]]) or (isinstance(value, bool) and kinds[key] != "bool"):
        raise UsageError(f"{name}: {key} is {value!r}: it has to be {kinds[key]}")
    low, high = _LIMITS.get(key, (-math.inf, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:
        raise UsageError(f"{name}: {key} {value} is outside {low:g}..{high:g}")


def _matches(rule: Fault, method: str, path: str) -> bool:
    return fnmatchcase(method, rule.method) and fnmatchcase(path, rule.path)


def _strikes(rule: Fault, seed: int, number: int, call: int) -> bool:
    if call < rule.first or (rule.count is not None and call >= rule.first + rule.count):
        return False
    digest = hashlib.blake2b(f"{seed}|{number}|{call}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64 < rule.probability
