"""A run under a promoted model and its replay: alike, and no longer alike when the model is not the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from e2e.program import assert_refused, document, evenkeel
from e2e.test_model import RUN, home, rewrite

__all__ = ["home"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days under the model."""
    own: Path = shutil.copytree(home, tmp_path_factory.mktemp("recorded") / "home")
    assert document(evenkeel(own, *RUN))["opinions"]["alpha"]["health"] == "ok"
    return own


@pytest.fixture
def own(recorded: Path, tmp_path: Path) -> Path:
    """A copy whose model may be changed."""
    return shutil.copytree(recorded, tmp_path / "home")


def assert_ended(home_: Path, stage: str, *said: Any) -> None:
    """Check that parity ends at a stage, in one sentence."""
    assert_refused(evenkeel(home_, "parity", "--from-journal", "--json"), 4, f"parity ends at {stage}: ", *said)


def test_the_replay_is_the_run(recorded: Path) -> None:
    told = document(evenkeel(recorded, "parity", "--from-journal", "--json"))

    assert told["identical"] is True
    assert told["slots"] == 288
    assert told["orders"] >= told["fills"]["compared"] > 5


def test_a_damaged_model_file_is_named(own: Path) -> None:
    path = own / "models" / "alpha" / "mine" / "model_24h.txt"
    path.write_bytes(path.read_bytes().replace(b"leaf_value", b"leaf_valuf", 1))

    assert_ended(own, "models", "model_24h.txt", "SHA-256")


def test_another_model_under_the_same_version_is_named(own: Path) -> None:
    """Its digest stands in the journal."""
    rewrite(own, note="another one")

    assert_ended(own, "features", "opinions.alpha.version")


def test_a_model_that_is_gone_is_named(own: Path) -> None:
    shutil.rmtree(own / "models")

    assert_ended(own, "features", "opinions.alpha.health", "was recorded as ok, the back-test has missing")
