"""Which configuration did the run in this home use? Left beside its state by `run`, found again by `plan` and `why`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from evenkeel import store
from evenkeel.cli.output import Context
from evenkeel.errors import ConfigError, StateError
from evenkeel.types import SlotKind
from evenkeel.units import seconds

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.types import Memory

FILE = "config.json"


def remember(home: Path, loaded: Loaded) -> None:
    """Leave the resolved configuration (no secret is in it) as `state/config.json`; call it once the home is locked."""
    from evenkeel import config as configs

    path = home / "state" / FILE
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(configs.show(loaded.config), default=str, option=orjson.OPT_INDENT_2) + b"\n")
    temporary.replace(path)


def periods(home: Path) -> dict[str, int]:
    """Seconds between slots of each kind as the run has them; none where that cannot be told."""
    try:
        said = orjson.loads((home / "state" / FILE).read_bytes())["schedule"]
        return {kind.value: seconds(said[kind.value]) for kind in SlotKind}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def recall(made: Context) -> tuple[Path | None, list[str]]:
    """Configuration file and overrides of the run that the home holds: (None, []) where that cannot be told.

    `state/config.json`, or the home's own file, or a preset, as it is or moved to the run's window: the first whose
    digest is the one that the state names.
    """
    try:
        memory = store.peek(made.home).memory
    except StateError:
        memory = None
    if memory is None:
        return None, []
    from evenkeel.config.files import presets

    own = (made.home / "state" / FILE, made.home / "config" / "config.yaml")
    for path in (*(path for path in own if path.is_file()), *map(Path, presets())):
        for overrides in ([], _window(memory)):
            if _digest(made, path, overrides) == memory.config_digest:
                return path, overrides
    return None, []


def _window(memory: Memory) -> list[str]:
    start, _, end = memory.identity.window.partition(" ")[0].partition("..")
    return [f"clock.from={start}", f"clock.to={end}"] if start and end else []


def _digest(made: Context, path: Path, overrides: list[str]) -> str:
    from evenkeel import config as configs

    try:
        return configs.load(path, environ=made.environ, overrides=overrides, home=made.home).digest
    except ConfigError:
        return ""
