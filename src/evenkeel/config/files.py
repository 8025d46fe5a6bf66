"""Finding and reading configuration files: the working folder, the home, then what the installed package carries.

YAML is read by the rules of YAML 1.2 where 1.1 surprises: `off` and `no` are text, `1e-4` is a number, dates stay
text, `12:30` is text; a key that stands twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from evenkeel.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def shipped() -> Path:
    """The folder with `config/` and `models/` as shipped: inside an installed wheel, or the root of a checkout."""
    inside = _PACKAGE / "_shipped"
    return inside if inside.is_dir() else _PACKAGE.parents[1]


def find(path: Path, home: Path) -> Path:
    """A configuration file by the path a person gave: as given, in the home, in `config/` of the home, as shipped.

    Raises ConfigError if there is none.
    """
    places = [path, home / path, home / "config" / path, shipped() / path, shipped() / "config" / path]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f"{path}: no such file here, in the home {home} or among the shipped presets: give a file that exists, "
        f"or a preset ({', '.join(presets())})"
    )


def presets() -> list[str]:
    """Names of the presets that the package carries, such as `config/demo.yaml`."""
    folder = shipped() / "config"
    return sorted(f"config/{path.name}" for path in folder.glob("*.yaml") if path.name != "universe.yaml")


def read_yaml(path: Path) -> Any:
    """What a YAML file says. Raises ConfigError with the file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): give a readable file") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """What a piece of YAML says; `where` names it in errors."""
    try:
        return yaml.load(text, Loader=_Yaml)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join((error.problem or error.context or "malformed").split())
        raise ConfigError(f"{where}{line}: not valid YAML ({problem}): correct that line") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:120]
        raise ConfigError(f"{where}: not valid YAML ({problem}): correct the file") from None


class _Yaml(_Base):
    """The safe loader with plain scalars as in YAML 1.2, and no key twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the safe loader refuses it below, with its line
            if key in seen:
                problem = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _plain_scalars() -> None:
    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
        (
            "float",
            r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
            list("-+.0123456789"),
        ),
        ("merge", "<<", ["<"]),
    ):
        _Yaml.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)


_plain_scalars()
