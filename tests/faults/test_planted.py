"""The suite kills every planted bug, and is green without them."""

import os
import sys

import pytest

from faults.planted import BUGS, failing, shown, spoiled, table


@pytest.mark.slow
def test_every_planted_bug_is_killed(capsys):
    """What `make planted` does; in the short form every third bug."""
    short = os.environ.get("EVENKEEL_TEST_PROFILE") != "full"
    rows = table(range(0, len(BUGS), 3 if short else 1))
    with capsys.disabled():
        sys.stdout.write(f"\n{shown(rows)}\n")

    assert [bug.name for bug, killer in rows if not killer] == []
    assert failing(sorted({test for bug, _ in rows for test in bug.tests})) == ""


@pytest.mark.slow
def test_every_bug_can_be_planted():
    """The words that each bug exchanges stand in the source, once."""
    assert len(BUGS) >= 25
    assert all(spoiled(bug) for bug in BUGS)
