"""Secrets, and the three locks on the door to real orders.

A secret comes from the environment, from a `.env` in the home (refused unless its mode is 0600), or from a file that
either of them names (`NAME_FILE=/run/secrets/name`). A dry run reads none. No error here repeats a value.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenkeel.config.sections import Config
from evenkeel.errors import ConfigError

LIVE = "EVENKEEL_LIVE"
LIVE_WORD = "I-understand"
_CREDENTIALS = {
    "paper": (),
    "roostoo": ("ROOSTOO_API_KEY", "ROOSTOO_API_SECRET"),
    "spot": ("SPOT_API_KEY", "SPOT_API_SECRET"),
}
KALSHI = ("KALSHI_KEY_ID", "KALSHI_PRIVATE_KEY")
"""Secrets of an account at Kalshi: the key's id, and the private key as PEM, best by `KALSHI_PRIVATE_KEY_FILE`."""
LLM = "ANTHROPIC_API_KEY"
_LINE = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets by name. Shown as names only; the values come out of `[]` alone."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> str:
        """The secret. Raises KeyError if it was not found."""
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        """Whether the secret was found."""
        return name in self.values


def credential_names(config: Config) -> tuple[str, ...]:
    """Which secrets the configured venue needs."""
    return _CREDENTIALS[config.venue.kind]


def secrets(home: Path, environ: Mapping[str, str], names: Sequence[str], *, dry_run: bool = False) -> Secrets:
    """The named secrets that can be found; a dry run opens nothing and gets none.

    Raises ConfigError if `.env` is readable by others or malformed, or a named file cannot be read.
    """
    if dry_run or not names:
        return Secrets()
    found: dict[str, str] = {}
    here: Mapping[str, str] | None = None
    for name in names:
        value = _named(name, environ, "the environment")
        if value is None:
            here = _dotenv(home / ".env") if here is None else here
            value = _named(name, here, str(home / ".env"))
        if value is not None:
            found[name] = value
    return Secrets(found)


def live_allowed(config: Config, environ: Mapping[str, str], held: Secrets) -> bool:
    """True if real orders may leave: `dry_run: false` AND credentials AND EVENKEEL_LIVE. False for a dry run.

    Raises ConfigError if real orders are asked for and something is missing.
    """
    if config.dry_run:
        return False
    if not credential_names(config):
        raise ConfigError(
            f"dry_run is false, but venue.kind is {config.venue.kind}, which takes no real orders: "
            "set venue.kind to roostoo or spot, or dry_run to true"
        )
    if config.clock.kind == "virtual":
        raise ConfigError("dry_run is false, but clock.kind is virtual: set clock.kind to real, or dry_run to true")
    _unlocked(credential_names(config), environ, held)
    return True


def desk_allowed(config: Config, environ: Mapping[str, str], held: Secrets) -> None:
    """Let real orders leave to Kalshi, behind the same three locks. Raises ConfigError, naming one that is shut."""
    if config.dry_run:
        raise ConfigError("dry_run is true, and `kalshi run` sends real orders: set dry_run to false, or use paper")
    _unlocked(KALSHI, environ, held)


def _unlocked(names: Sequence[str], environ: Mapping[str, str], held: Secrets) -> None:
    missing = [name for name in names if name not in held]
    if missing:
        raise ConfigError(
            f"dry_run is false, but {' and '.join(missing)} is not set: "
            "put it into the environment or into .env (mode 0600) in the home, or set dry_run to true"
        )
    if environ.get(LIVE) != LIVE_WORD:
        raise ConfigError(
            f"dry_run is false, but {LIVE} is not {LIVE_WORD}: "
            f"set {LIVE}={LIVE_WORD} if real orders are meant, or dry_run to true"
        )


def _named(name: str, values: Mapping[str, str], where: str) -> str | None:
    """`NAME`, or the content of the file that `NAME_FILE` names."""
    if values.get(name):
        return values[name]
    file = values.get(f"{name}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{where}: {name}_FILE names {file}, which cannot be read ({reason}): correct it") from None


def _dotenv(path: Path) -> dict[str, str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    if mode & ~0o600:
        raise ConfigError(f"{path}: its mode is {mode:04o}, so others may read it: run chmod 600 {path}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise ConfigError(f"{path}: cannot be read ({reason}): correct it or remove it") from None
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise ConfigError(f"{path}, line {number}: not NAME=value: correct or remove that line")
        values[match[1]] = _unquoted(match[2])
    return values


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return re.split(r"\s#", text, maxsplit=1)[0].rstrip()
