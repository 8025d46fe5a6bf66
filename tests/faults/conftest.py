"""A life that goes by the test's own script."""

import pytest

from faults.scripted import CALM
from faults.simulation import Life, Profile


@pytest.fixture
def life(tmp_path):
    """Builds a life that goes by the test's own script."""
    lives = []

    def build(**changes):
        home = tmp_path / str(len(lives))
        home.mkdir()
        lives.append(Life(1, Profile(**{**vars(CALM), **changes}), home))
        return lives[-1]

    yield build
    for one in lives:
        if one.journal is not None:
            one.journal.close()
