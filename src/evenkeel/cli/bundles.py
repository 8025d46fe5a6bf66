"""Which fitted model a command means: the one in use, a version of the home or the program, or a folder."""

from __future__ import annotations

from pathlib import Path

from evenkeel import artifacts
from evenkeel.errors import NotReadyError


def shelves(home: Path) -> tuple[Path, Path]:
    """The `models` folders of the home and of the program."""
    from evenkeel.config import shipped

    return home / "models", shipped() / "models"


def find(home: Path, kind: str, named: str | None, option: str = "--version") -> Path:
    """The folder of a version, or the folder named itself, or that of the one in use.

    Raises ArtifactError for a version that is nowhere, NotReadyError where none is named and none is in use.
    """
    if named is not None:
        folder = Path(named)
        return folder if (folder / artifacts.MANIFEST).is_file() else artifacts.locate(kind, named, *shelves(home))
    found = artifacts.chosen(kind, *shelves(home))
    if found is None:
        raise NotReadyError(
            f"no {kind} model is in use: name one with {option}, or train and promote one (`evenkeel models ls`)"
        )
    return found
