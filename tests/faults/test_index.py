"""INDEX.md names every scenario of the fault list once, with a status, and tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line[1:-1].split("|")]
    for line in (ROOT / "tests" / "faults" / "INDEX.md").read_text().splitlines()
    if re.match(r"\| [OSTDME]\d+ \|", line)
]
EXPECTED = {"O": 22, "S": 11, "T": 9, "D": 12, "M": 8, "E": 14}


def test_every_scenario_stands_there_once():
    ids = [f"{letter}{number}" for letter, count in EXPECTED.items() for number in range(1, count + 1)]

    assert [row[0] for row in ROWS] == ids
    assert len(ids) == 76


def test_every_row_has_a_status():
    """test, adapted (by a decision that exists), or not yet with a reason; only the last may be without a test."""
    for name, _, status, tests, *_ in ROWS:
        decision = re.fullmatch(r"adapted ADR (\d+)", status)
        known = list((ROOT / "docs" / "decisions").glob(f"{int(decision[1]):04}-*.md")) if decision else []
        assert status == "test" or known or re.fullmatch(r"not yet: .{20,}", status), (name, status)
        assert tests or status.startswith("not yet"), name


def test_every_named_test_exists():
    named = {found for row in ROWS for found in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[3])}
    missing = [f"{path}::{test}" for path, test in named if f"def {test}(" not in (ROOT / path).read_text()]

    assert len(named) > 60
    assert missing == []
