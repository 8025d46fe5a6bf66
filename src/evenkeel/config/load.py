"""Layers -> one validated, frozen `Config`, and where each value came from.

Defaults < file < environment < `--set`; the settings that a strategy brings lie right under the layer that names it.
Walks the layers; `values.build` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenkeel.config.explain import digest
from evenkeel.config.files import find, parse_yaml, read_yaml
from evenkeel.config.sections import Config
from evenkeel.config.strategies import PRESETS
from evenkeel.config.values import build
from evenkeel.errors import ConfigError

ENVIRONMENT = "EVENKEEL__"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, the digest of what decides in it, and key -> the layer that set it (defaults are absent)."""

    config: Config
    digest: str
    sources: Mapping[str, str]


def load(path: Path | None, *, environ: Mapping[str, str], overrides: Sequence[str], home: Path) -> Loaded:
    """The configuration of this run.

    path       file or preset; None = `config/config.yaml` of the home if there is one, else the defaults alone
    overrides  `section.key=value`, the value in YAML
    Raises ConfigError with one sentence: where, key, value, range, what to do.
    """
    if path is None and (home / "config" / "config.yaml").is_file():
        path = home / "config" / "config.yaml"
    layers = [
        [] if path is None else [(str(path), _mapping_in(find(path, home)))],
        [_variable(name, environ[name]) for name in sorted(environ) if name.startswith(ENVIRONMENT)],
        [_override(text) for text in overrides],
    ]
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for where, entries in _with_strategy(layers):
        _merge(tree, entries, where, sources)
    config = build(Config(), tree, sources)
    return Loaded(config, digest(config), sources)


_Entry = tuple[str, Mapping[str, Any]]
"""Where settings come from, and they themselves."""


def _with_strategy(layers: Sequence[Sequence[_Entry]]) -> list[_Entry]:
    """The entries in their order; before the last layer that names a strategy, the settings that this one brings."""
    named = [(i, own["strategy"]) for i, layer in enumerate(layers) for _, own in layer if "strategy" in own]
    level, strategy = named[-1] if named else (0, "")
    preset = PRESETS.get(strategy, {}) if isinstance(strategy, str) else {}
    brought = [(f"strategy {strategy}", preset)] if preset else []
    return [entry for i, layer in enumerate(layers) for entry in (*(brought if i == level else []), *layer)]


def _variable(name: str, text: str) -> _Entry:
    return name, _nested(name.removeprefix(ENVIRONMENT).lower().split("__"), parse_yaml(text, name))


def _override(text: str) -> _Entry:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: no key=value: write it like --set clock.speed=0")
    return "--set", _nested(key.strip().split("."), parse_yaml(value, f"--set {key}"))


def _mapping_in(path: Path) -> Mapping[str, Any]:
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, not keys: write lines like dry_run: true")
    return content


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _merge(
    tree: dict[str, Any], layer: Mapping[Any, Any], where: str, sources: dict[str, str], prefix: str = ""
) -> None:
    """Lay one layer over the tree, entry by entry; remember which layer set each leaf."""
    for raw_key, value in layer.items():
        key = str(raw_key)
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            below = tree.get(key)
            tree[key] = dict(below) if isinstance(below, Mapping) else {}
            if not value:
                sources[path] = where
            _merge(tree[key], value, where, sources, f"{path}.")
        else:
            for old in [old for old in sources if old.startswith(f"{path}.")]:
                del sources[old]
            tree[key] = value
            sources[path] = where
