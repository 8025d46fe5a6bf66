"""Raw values -> the typed values of a section, each judged on its own.

The walk over keys is ours (paths, did-you-mean, units); each single value is judged strictly by pydantic, which
honours the bounds in the annotations. The only module that knows pydantic.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import is_dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from evenkeel.config.keys import Hint, hint_of, keys_of, leaves, range_words, type_words
from evenkeel.errors import ConfigError
from evenkeel.units import seconds, utc

S = TypeVar("S")


def build(base: S, tree: Mapping[str, Any], sources: Mapping[str, str], prefix: str = "") -> S:
    """A section like `base` with what `tree` says.

    sources  key -> the layer that set it, for errors; `""` may name them all
    Raises ConfigError for an unknown key, a wrong type, a value out of range, values that do not go together.
    """
    known = keys_of(type(base))
    changes: dict[str, Any] = {}
    for key, raw in tree.items():
        if key not in known:
            raise _unknown(f"{prefix}{key}", base, prefix, sources)
        name, hint = known[key]
        changes[name] = _value(raw, hint, getattr(base, name), f"{prefix}{key}", sources)
    try:
        return replace(base, **changes)  # type: ignore[type-var]
    except ValueError as error:
        section = prefix.rstrip(".")
        named = f"{section}: " if section else ""
        raise ConfigError(f"{where(section, sources)}: {named}{error}") from None


def where(path: str, sources: Mapping[str, str]) -> str:
    """Which layer a key, or the keys below it, came from."""
    while path:
        if path in sources:
            return sources[path]
        below = sorted({source for key, source in sources.items() if key.startswith(f"{path}.")})
        if below:
            return " and ".join(below)
        path = path.rpartition(".")[0]
    return sources.get("", "configuration")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """`did you mean X?` for the nearest known name; otherwise which names there are, if few."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(known)}" if len(known) <= 24 else "look at the documented list"


def _unknown(path: str, base: Any, prefix: str, sources: Mapping[str, str]) -> ConfigError:
    own = [f"{prefix}{key}" for key in keys_of(type(base))]
    near = [] if prefix else [leaf.path for leaf in leaves(base) if leaf.path.endswith(f".{path}")][:1]
    name = path.removeprefix(prefix)
    near = near or [prefix + key for key in difflib.get_close_matches(name, keys_of(type(base)), n=1, cutoff=0.6)]
    advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(own)}"
    return ConfigError(f"{where(path, sources)}: unknown key {path}: {advice}")


def _value(raw: Any, hint: Hint, default: Any, path: str, sources: Mapping[str, str]) -> Any:
    base, origin = hint.base, get_origin(hint.base)
    if raw is None and is_dataclass(base) and not hint.optional:
        raw = {}
    if raw is None and hint.optional:
        return None
    if is_dataclass(base) and isinstance(base, type):
        _require(isinstance(raw, Mapping), raw, hint, path, sources)
        return build(default if default is not None else base(), raw, sources, f"{path}.")
    if origin is tuple:
        return _tuple(raw, hint, path, sources)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _require(isinstance(raw, Mapping), raw, hint, path, sources)
        inner, old = hint_of(get_args(base)[1]), default or {}
        mapped = {k: _value(v, inner, old.get(k), f"{path}.{k}", sources) for k, v in raw.items()}
        return _judge({**old, **mapped}, hint, path, sources)
    return _judge(_natural(raw, hint), hint, path, sources, shown=raw)


def _tuple(raw: Any, hint: Hint, path: str, sources: Mapping[str, str]) -> tuple[Any, ...]:
    _require(isinstance(raw, list | tuple), raw, hint, path, sources)
    parts = get_args(hint.base)
    if len(parts) == 2 and parts[1] is Ellipsis:
        inner = [hint_of(parts[0])] * len(raw)
    else:
        inner = [hint_of(part) for part in parts]
        _require(len(inner) == len(raw), raw, hint, path, sources)
    items = [
        _value(item, kind, None, f"{path}.{i}", sources) for i, (item, kind) in enumerate(zip(raw, inner, strict=True))
    ]
    judged: tuple[Any, ...] = _judge(tuple(items), hint, path, sources)
    return judged


def _natural(raw: Any, hint: Hint) -> Any:
    """The value in the program's own units, where people write words; anything else as it came."""
    try:
        if isinstance(raw, str) and hint.moment:
            return utc(raw)
        if isinstance(raw, str) and hint.duration:
            return seconds(raw)
        if hint.base is Decimal and isinstance(raw, int | float | str) and not isinstance(raw, bool):
            return Decimal(str(raw))
    except (ValueError, InvalidOperation):
        return raw
    return raw


def _judge(value: Any, hint: Hint, path: str, sources: Mapping[str, str], *, shown: Any = None) -> Any:
    """The value if pydantic accepts it strictly. Containers were walked already: only their length is judged."""
    container = get_origin(hint.base) not in (None, Literal)
    finite = not isinstance(value, float | Decimal) or math.isfinite(value)
    try:
        if not finite:
            raise _refusal(value if shown is None else shown, hint, path, sources)
        return _adapter(Any if container else hint.base, hint.marks).validate_python(value, strict=True)
    except ValidationError:
        raise _refusal(value if shown is None else shown, hint, path, sources) from None


@cache
def _adapter(base: Any, marks: tuple[Any, ...]) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[(base, *marks)] if marks else base)


def _require(held: bool, raw: Any, hint: Hint, path: str, sources: Mapping[str, str]) -> None:  # noqa: FBT001
    if not held:
        raise _refusal(raw, hint, path, sources)


def _refusal(raw: Any, hint: Hint, path: str, sources: Mapping[str, str]) -> ConfigError:
    wanted, allowed = type_words(hint), range_words(hint)
    if get_origin(hint.base) is Literal:
        near = difflib.get_close_matches(str(raw), map(str, get_args(hint.base)), n=1)
        wanted, allowed = allowed + (", or null" if hint.optional else ""), "".join(f"did you mean {x}?" for x in near)
    elif is_dataclass(hint.base):
        allowed = "known here: " + ", ".join(keys_of(hint.base))
    elif wanted not in ("true or false", "text"):
        wanted = f"a {wanted}"
    unit = hint.key.unit
    named = f" ({unit})" if unit and not hint.moment and not hint.duration else ""
    text = "null" if raw is None else str(raw).lower() if isinstance(raw, bool) else repr(raw)
    text = text if len(text) <= 80 else text[:77] + "..."
    limits = f", {allowed}" if allowed else ""
    return ConfigError(f"{where(path, sources)}: {path} is {text}: give {wanted}{limits}{named}")
