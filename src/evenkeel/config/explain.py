"""What a configuration says, for people and for editors: show, explain, schema, document, digest.

Everything is derived from the annotations, so that the documented file, the schema and the program cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import yaml

from evenkeel.config.keys import Hint, bounds, hint_of, keys_of, leaves, people, range_words, type_words
from evenkeel.config.sections import UNDECIDING, Config
from evenkeel.config.values import did_you_mean
from evenkeel.errors import ConfigError

_WIDTH = 116
_JSON = {bool: "boolean", int: "integer", float: "number", str: "string", Decimal: "number"}


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything known about one key. `default` and `value` are as people write them; a section has neither."""

    key: str
    meaning: str
    type: str
    unit: str
    range: str
    default: Any
    value: Any
    source: str


def show(config: Config) -> dict[str, Any]:
    """The resolved configuration with people's keys and words: what a file would say."""
    shown: dict[str, Any] = {
        key: people(getattr(config, name), hint) for key, (name, hint) in keys_of(type(config)).items()
    }
    return shown


def digest(config: Config) -> str:
    """SHA-256 over what decides: canonical JSON of `show` without the keys of UNDECIDING."""
    shown = show(config)
    for path in UNDECIDING:
        *above, last = path.split(".")
        section = shown
        for key in above:
            section = section[key]
        section.pop(last, None)
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def explain(key: str, config: Config | None = None, sources: Mapping[str, str] | None = None) -> Explained:
    """Meaning, type, unit, range, default, value and origin of a key, or what a section holds.

    Raises ConfigError for a key that does not exist.
    """
    config, sources, default = config or Config(), sources or {}, Config()
    for leaf in leaves(default):
        if leaf.path == key:
            value = next((item.default for item in leaves(config) if item.path == key), leaf.default)
            words = (type_words(leaf.hint), leaf.hint.key.unit, range_words(leaf.hint))
            shown = (people(leaf.default, leaf.hint), people(value, leaf.hint))
            return Explained(key, leaf.hint.key.doc, *words, *shown, _source(key, sources))
    sections = dict(_sections(default))
    if key in sections:
        held = ", ".join(keys_of(type(sections[key])))
        return Explained(key, _summary(sections[key]), "section", "", f"keys: {held}", None, None, "")
    known = [leaf.path for leaf in leaves(default)] + list(sections)
    endings = [path for path in known if path.rpartition(".")[2] == key]
    advice = f"did you mean {endings[0]}?" if endings else did_you_mean(key, known)
    raise ConfigError(f"{key}: no such key: {advice}")


def _source(key: str, sources: Mapping[str, str]) -> str:
    if key in sources:
        return sources[key]
    below = sorted({source for path, source in sources.items() if path.startswith(f"{key}.")})
    return " and ".join(below) or "default"


def _sections(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, (name, hint) in keys_of(type(section)).items():
        value = getattr(section, name)
        if is_dataclass(hint.base) and value is not None:
            yield f"{prefix}{key}", value
            yield from _sections(value, f"{prefix}{key}.")


def _summary(section: Any) -> str:
    """The first paragraph of a section's docstring, on one line."""
    return " ".join((type(section).__doc__ or "").strip().split("\n\n")[0].split())


def schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a configuration file, for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "evenkeel configuration"}
    return head | _schema_of(Config())


def _schema_of(section: Any) -> dict[str, Any]:
    properties = {}
    for key, (name, hint) in keys_of(type(section)).items():
        value = getattr(section, name)
        if is_dataclass(hint.base) and value is not None:
            properties[key] = {"description": _summary(value)} | _schema_of(value)
        else:
            unit = f" [{hint.key.unit}]" if hint.key.unit else ""
            described = {"description": hint.key.doc + unit, "default": people(value, hint)}
            properties[key] = described | _schema_leaf(hint)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _schema_leaf(hint: Hint) -> dict[str, Any]:
    base, origin, limits = hint.base, get_origin(hint.base), bounds(hint)
    names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    found: dict[str, Any] = {names[name]: limit for name, limit in limits.items() if name in names}
    lengths = ("minItems", "maxItems") if origin is tuple else ("minLength", "maxLength")
    found |= {lengths[name == "max_length"]: limit for name, limit in limits.items() if name not in names}
    if origin is Literal:
        found["enum"] = [*get_args(base), *([None] if hint.optional else [])]
        return found
    if origin is tuple:
        found |= {"type": "array", "items": _schema_leaf(hint_of(get_args(base)[0]))}
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        found |= {"type": "object", "additionalProperties": _schema_leaf(hint_of(get_args(base)[1]))}
    elif is_dataclass(base) and isinstance(base, type):
        found |= _schema_of(base())
    else:
        found["type"] = _JSON.get(base, "string")
    words = ["string"] if hint.moment or hint.duration or base is Decimal else []
    nulls = ["null"] if hint.optional else []
    if words or nulls:
        found["type"] = [found["type"], *words, *nulls]
    return found


def document() -> str:
    """The text of config/config.yaml: every key with its meaning, unit, range and default."""
    head = (
        "evenkeel: every key with its meaning, unit, range and default. Made by `make config` from the code "
        "that reads it; `evenkeel config explain KEY` says the same. Each key may also come from the environment "
        "(EVENKEEL__CLOCK__SPEED=0) or the command line (--set clock.speed=0); the later one wins."
    )
    return "\n".join([*_comment(head, ""), "", *_document(Config(), "")]).rstrip() + "\n"


def _document(section: Any, indent: str) -> Iterator[str]:
    for key, (name, hint) in keys_of(type(section)).items():
        value = getattr(section, name)
        if is_dataclass(hint.base) and value is not None:
            yield ""
            yield from _comment(_summary(value), indent)
            yield f"{indent}{key}:"
            yield from _document(value, f"{indent}  ")
        else:
            yield from _comment(_meaning(hint), indent)
            yield f"{indent}{key}: {_flow(people(value, hint), hint)}"


def _flow(value: Any, hint: Hint) -> str:
    """A value on one line of YAML; decimals without quotes."""
    if hint.base is Decimal and value is not None:
        return str(value)
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=1_000_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _meaning(hint: Hint) -> str:
    """Meaning and, in brackets, what may be written: type, range, unit."""
    facts = [] if get_origin(hint.base) is Literal else [type_words(hint)]
    facts += [range_words(hint)] if range_words(hint) else []
    facts += [hint.key.unit] if hint.key.unit and not (hint.moment or hint.duration) else []
    return f"{hint.key.doc} [{', '.join(facts)}]"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
