"""What `doctor` looks at where a Kalshi desk has run: its memory, journal, account on paper and files. Reads only.

Homes without a desk get no line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evenkeel.cli import doctor_repairs
from evenkeel.cli.doctor_checks import DECIDE, FAIL, FIX, OK, WARN, Check, Look, Patient, audited
from evenkeel.errors import StateError

if TYPE_CHECKING:
    from evenkeel.config import Config
    from evenkeel.desk.ledger import Ledger
    from evenkeel.store import Loaded

NAME = "kalshi"
VENUES = ("kalshi", "kalshi-paper")


def _memory(patient: Patient) -> Iterator[Check]:
    """kalshi.json and its generations, and whose they are."""
    from evenkeel import store
    from evenkeel.desk.ledger import Ledger
    from evenkeel.wiring import desk

    files = store.examine(patient.home, desk.STATE, Ledger)
    bad = [f"{one.path.name} ({one.problem})" for one in files if one.problem]
    left = [name for name in (desk.JOURNAL, desk.PAPER) if (patient.home / "state" / name).exists()]
    if not files:
        if left:
            advice = "restore a backup of state/, or start: what is held is taken over from the venue, as a flow"
            yield Check(NAME, WARN, f"no kalshi.json beside {' and '.join(left)}", advice)
        return
    try:
        found = _peek(patient.home)
    except StateError as error:
        lost = len(bad) == len(files)
        yield Check(NAME, FAIL, f"no whole file: {'; '.join(bad)}" if lost else str(error), DECIDE if lost else _AWAY)
        return
    yield from _identity(found, patient.config)
    if bad:
        advice = f"`{FIX}` sets them aside; the next start takes the newest whole file and asks the venue"
        yield Check(NAME, WARN, f"damaged: {'; '.join(bad)}", advice)
    else:
        yield Check(NAME, OK, f"{len(files)} whole files of kalshi.json, sequence {files[0].sequence}")


_AWAY = "use the version that wrote it, restore a backup, or move it and its generations away: doctor does not touch it"


def _peek(home: Path) -> Loaded:
    from evenkeel import store
    from evenkeel.desk.ledger import Ledger
    from evenkeel.wiring import desk

    return store.peek(home, desk.STATE, Ledger)


def _ledger(home: Path) -> Ledger | None:
    """What the desk remembers; None where there is nothing that can be read, which `_memory` says."""
    from evenkeel.desk.ledger import Ledger

    try:
        memory = _peek(home).memory
    except StateError:
        return None
    return memory if isinstance(memory, Ledger) else None


def _identity(found: Loaded, config: Config | None) -> Iterator[Check]:
    from evenkeel.wiring import desk

    if found.memory is None:
        return
    who = found.memory.identity
    if who.venue not in VENUES:
        yield Check(NAME, FAIL, f"kalshi.json belongs to {who.venue}/{who.account}, which is no desk", _AWAY)
    elif config is not None and who.window != desk.address(config):
        text = (
            f"kalshi.json is of the Kalshi at {who.window}, configured is {desk.address(config)}: a desk will not start"
        )
        yield Check(NAME, WARN, text, "correct kalshi.env or kalshi.url, or give the other one a --home of its own")


def _standing(patient: Patient) -> Iterator[Check]:
    """What only venue and person can settle; nothing of it is ever repaired here."""
    from evenkeel.cli import kalshi_status

    memory = _ledger(patient.home)
    for problem in kalshi_status.standing(memory) if memory is not None else ():
        yield Check(NAME, WARN, problem, "see `evenkeel logs --kalshi` and the account")


def _journal(patient: Patient) -> Iterator[Check]:
    from evenkeel import store
    from evenkeel.wiring import desk

    path = patient.home / "state" / desk.JOURNAL
    if path.exists():
        served = store.holder(patient.home, desk.LOCK) is not None
        yield from audited(path, lambda: _peek(patient.home), NAME, served=served)


def _paper(patient: Patient) -> Iterator[Check]:
    """The account on paper is a venue: nobody but a person may say that it is lost."""
    from evenkeel.wiring import desk

    path = patient.home / "state" / desk.PAPER
    problem, _ = doctor_repairs.database(path)
    if problem:
        advice = "restore a backup of state/, or move it away with kalshi.json: a desk with kalshi.bankroll begins"
        yield Check(NAME, FAIL, f"the account on paper {path} cannot be read: {problem}", advice)


def _files(patient: Patient) -> Iterator[Check]:
    """trades.csv and equity.csv against what is remembered of their ends; book.json is written anew at each turn."""
    from evenkeel import store
    from evenkeel.wiring import desk

    memory = _ledger(patient.home)
    if memory is None or store.holder(patient.home, desk.LOCK) is not None:
        return
    for name, tail in memory.files.items():
        path = Path(name)
        size = path.stat().st_size if path.exists() else 0
        if size < tail.at:
            advice = "restore it, or start the desk with another --data-dir: it will not go on with this one"
            yield Check(NAME, FAIL, f"{path} has {size} bytes, {tail.at} were written: rows are lost", advice)
        elif size > tail.end:
            advice = "keep a copy of what you need of it: the desk's next start cuts it off"
            yield Check(NAME, WARN, f"{path} has {size - tail.end} bytes that the desk did not write", advice)


LOOKS: tuple[Look, ...] = (_memory, _standing, _journal, _paper, _files)
