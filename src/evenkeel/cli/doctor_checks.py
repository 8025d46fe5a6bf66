"""What `doctor` looks at: the installation, the home, the market data and the models. Reads only.

`examine` -> findings, each ok, warn or fail with what to do; a check that stumbles is a finding too.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from evenkeel.cli import doctor_repairs
from evenkeel.cli.output import Context
from evenkeel.errors import EvenkeelError
from evenkeel.units import DAY_S, duration, iso

if TYPE_CHECKING:
    from evenkeel.config import Config
    from evenkeel.store import Loaded

OK, WARN, FAIL = "ok", "warn", "fail"
FREE_FAIL_MB, FREE_WARN_MB = 100, 1_000
QUIET_S = 20 * 60
AHEAD_S = 300
FIX = "evenkeel doctor --fix"
DECIDE = (
    "only you can decide: restore a backup of state/, or begin anew from what venue and journal know with "
    f"`{FIX} --cold-start` (peaks, cost basis and stops are then forgotten)"
)
EARLIEST = 1_735_689_600  # 2025-01-01: a clock before this was never set


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `status` ok, warn or fail; `advice` says what to do unless all is well."""

    name: str
    status: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at; config is None where it cannot be read. now  UTC s of the computer's clock."""

    home: Path
    config: Config | None
    now: float


Look = Callable[[Patient], Iterator[Check]]


def examine(made: Context, config: Path | None, overrides: list[str], more: Iterable[Look] = ()) -> list[Check]:
    """All checks in their order, then those of `more`; one that stumbles is a finding too."""
    about, loaded = _config(made, config, overrides)
    patient = Patient(made.home, loaded, time.time())
    checks = [*_software(), about]
    for look in (_home, _state, _journal, _paper, _service, _halt, _waiting, _orders, _leftovers, _candles, _models,
                 _quarantine, _clock, *more):  # fmt: skip
        try:
            checks += look(patient)
        except (EvenkeelError, OSError) as error:
            checks.append(Check(look.__name__.strip("_"), FAIL, str(error)))
    return checks


# ---------------------------------------------------------------- the installation


def _software() -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Check("python", OK if fine else FAIL, python, "" if fine else "install Python 3.11 or newer")
    absent, found = [], []
    for name in _needed():
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        yield Check("packages", FAIL, f"not installed: {', '.join(absent)}", "pip install -r requirements-base.txt")
    else:
        yield Check("packages", OK, ", ".join(found))


def _needed() -> list[str]:
    try:
        lines = metadata.requires("evenkeel") or []
    except metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if "extra ==" not in line]


def _config(made: Context, config: Path | None, overrides: list[str]) -> tuple[Check, Config | None]:
    from evenkeel import wiring
    from evenkeel.cli import planning

    try:
        loaded = planning.resolved(made, config, overrides)
        pairs = wiring.universe(loaded.config, made.home)
    except EvenkeelError as error:
        return Check("config", FAIL, str(error), "see `evenkeel config check`"), None
    return Check("config", OK, f"{len(pairs)} pairs, digest {loaded.digest[:12]}"), loaded.config


# ---------------------------------------------------------------- the home


def _home(patient: Patient) -> Iterator[Check]:
    home = patient.home
    if not home.is_dir():
        yield Check("home", FAIL, f"{home} is no folder", "give the right --home, or start `evenkeel run` once")
        return
    closed = [str(p) for p in (home, home / "state", home / "logs") if p.exists() and not os.access(p, os.W_OK)]
    text = f"not writable: {', '.join(closed)}" if closed else f"{home} is writable"
    yield Check("home", FAIL if closed else OK, text, "change its owner or mount it writable" if closed else "")
    free = shutil.disk_usage(home).free // 1_000_000
    status = FAIL if free < FREE_FAIL_MB else WARN if free < FREE_WARN_MB else OK
    yield Check("disk", status, f"{free:,} MB free", "" if status == OK else "free some space")


def _state(patient: Patient) -> Iterator[Check]:
    from evenkeel import store

    files = store.examine(patient.home)
    bad = [f"{one.path.name} ({one.problem})" for one in files if one.problem]
    left = [name for name in ("journal.db", "paper.db") if (patient.home / "state" / name).exists()]
    if not files and left:
        advice = "restore a backup of state/, or start: what is held is asked of the venue and no peak is remembered"
        yield Check("state", WARN, f"no state file beside {' and '.join(left)}", advice)
    elif not files:
        yield Check("state", OK, "nothing has run here yet")
    elif not bad:
        yield Check("state", OK, f"{len(files)} whole files, sequence {files[0].sequence}")
    elif len(bad) < len(files):
        advice = f"`{FIX}` sets them aside; the next start takes the newest whole file and asks the venue"
        yield Check("state", WARN, f"damaged: {'; '.join(bad)}", advice)
    else:
        yield Check("state", FAIL, f"no whole file: {'; '.join(bad)}", DECIDE)


def _journal(patient: Patient) -> Iterator[Check]:
    from evenkeel import store

    path = patient.home / "state" / "journal.db"
    if not path.exists():
        yield Check("journal", OK, "there is none yet")
        return
    yield from audited(path, lambda: store.peek(patient.home), "journal", served=store.holder(patient.home) is not None)


def audited(path: Path, look: Callable[[], Loaded], name: str, *, served: bool) -> Iterator[Check]:
    """A journal: can every row be read, and does its audit chain end where memory says. served  its writer runs."""
    from evenkeel import journal

    try:
        digest = journal.journal_sha256(path)  # reads every row
        found = look()
        settled = found.memory is not None and not found.fell_back and not served
        head = found.memory.audit_hash if settled and found.memory else None
        whole, row = journal.verify_audit(path, head)
    except EvenkeelError as error:
        advice = f"`{FIX}` sets it aside if it is damaged; nothing in it is needed for recovery"
        yield Check(name, FAIL, str(error), advice)
        return
    yield Check(name, OK, f"every row of {path.name} can be read, digest {digest[:12]}")
    text = f"audit chain of {path.name} whole" if whole else f"audit chain of {path.name} broken at row {row}"
    advice = "" if whole else "compare with a backup: rows were changed or lost"
    yield Check("audit", OK if whole else FAIL, text, advice)


def _paper(patient: Patient) -> Iterator[Check]:
    """The paper account is a venue: nobody but a person may say that it is lost."""
    path = patient.home / "state" / "paper.db"
    problem, _ = doctor_repairs.database(path)
    if problem:
        advice = "restore a backup of state/, or move it away: an account with venue.capital begins, memory adopts it"
        yield Check("paper", FAIL, f"the paper account {path} cannot be read: {problem}", advice)


def _service(patient: Patient) -> Iterator[Check]:
    from evenkeel import store

    pid, beat = store.holder(patient.home), store.read_heartbeat(patient.home)
    age = patient.now - float(beat["wall_time"]) if beat else None
    seen = "" if age is None else f", last progress {duration(max(0, int(age)))} ago"
    if pid is None:
        yield Check("service", OK, f"not running{seen}")
    elif age is not None and age > QUIET_S:
        yield Check("service", WARN, f"pid {pid} holds the lock{seen}", "see `evenkeel logs`, then restart it")
    else:
        yield Check("service", OK, f"running, pid {pid}{seen}")


def _halt(patient: Patient) -> Iterator[Check]:
    from evenkeel import store

    if store.halted(patient.home):
        reason = store.halt_reason(patient.home) or "no reason given"
        yield Check("halt", WARN, f"state/HALT is there ({reason})", "`evenkeel resume --reason ...` when it is safe")
    else:
        yield Check("halt", OK, "no HALT marker")


def _waiting(patient: Patient) -> Iterator[Check]:
    from evenkeel.cli import inspect

    count = inspect.waiting(patient.home)
    if count:
        yield Check("commands", WARN, f"{count} commands wait", "they are taken when the service runs")


def _orders(patient: Patient) -> Iterator[Check]:
    """What only venue and person can settle; nothing of it is ever repaired here."""
    from evenkeel import store
    from evenkeel.types import IntentStatus

    memory = store.peek(patient.home).memory
    if memory is None:
        return
    intents = [intent for step in memory.open_slots for intent in step.intents if not intent.status.resolved]
    asked = [f"{i.order.id} {i.order.asset} {i.status.value}" for i in intents if i.status is not IntentStatus.ACKED]
    if asked:
        advice = "let the service run: it asks the venue; until it knows, their pairs are left alone"
        yield Check("orders", WARN, f"{len(asked)} unresolved: {', '.join(asked[:5])}", advice)
    if memory.quarantined:
        pairs = "; ".join(f"{asset} ({reason})" for asset, reason in sorted(memory.quarantined.items()))
        advice = "look at their orders at the venue, then `evenkeel resume --reason ...`: they trade again"
        yield Check("pairs", WARN, f"{len(memory.quarantined)} quarantined: {pairs}", advice)


def _leftovers(patient: Patient) -> Iterator[Check]:
    from evenkeel import store

    served = {of for of in (doctor_repairs.SERVICE, doctor_repairs.DESK) if store.holder(patient.home, of) is not None}
    found = doctor_repairs.leftovers(patient.home, patient.now, served)
    if found:
        text = f"{len(found)} temporary files of writes that were cut off: {', '.join(p.name for p in found[:5])}"
        yield Check("leftovers", WARN, text, f"`{FIX}` removes them")


def _candles(patient: Patient) -> Iterator[Check]:
    if patient.config is None or patient.config.feed.kind != "archive":
        return
    from evenkeel import archive, wiring

    feed = patient.config.feed
    bar, advice = duration(feed.bar), "`evenkeel data import`, or `evenkeel data download`"
    start, end = wiring.window(patient.config)
    pairs = wiring.universe(patient.config, patient.home)
    origin = patient.config.history.start
    first = origin if origin is not None else start - patient.config.history.days * DAY_S
    panel, missing = archive.load(patient.home, feed.source, feed.bar, pairs, first, end)
    text = f"{feed.source} {bar}: {len(panel.assets)} of {len(pairs)} pairs, {iso(int(panel.time[0]))} .. "
    text += iso(int(panel.time[-1]))
    short = int(panel.time[0]) > start or int(panel.time[-1]) < end - DAY_S
    status = WARN if short or missing else OK
    yield Check(
        "candles", status, text + (f", none of {', '.join(missing)}" if missing else ""), advice * (status != OK)
    )


def _models(patient: Patient) -> Iterator[Check]:
    from evenkeel import artifacts
    from evenkeel.config import shipped

    wanted = {"alpha": "alpha", "policy": "policy", "edge": "edge"}
    opinions = patient.config.opinions if patient.config else None
    for opinion, folder in wanted.items():
        if opinions is not None and not getattr(opinions, opinion):
            continue
        path = artifacts.chosen(folder, patient.home / "models", shipped() / "models")
        if path is None:
            advice = f"the book leans on the rest; opinions.{opinion}=false says so on purpose"
            yield Check("models", WARN, f"no model under models/{folder}: its opinion is missing", advice)
            continue
        bundle = artifacts.read(path, folder)
        expires = int(bundle.manifest["expires"])
        old = expires < patient.now
        text = f"{folder} {bundle.version} {bundle.digest[:12]}, expire{'d' if old else 's'} {iso(expires)}"
        yield Check("models", WARN if old else OK, text, "train and promote a new one" if old else "")


def _quarantine(patient: Patient) -> Iterator[Check]:
    folder = patient.home / "state" / "quarantine"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if names:
        yield Check(
            "quarantine", WARN, f"{len(names)} files: {', '.join(names[:5])}", "look at them, then move them away"
        )
    else:
        yield Check("quarantine", OK, "empty")


def _clock(patient: Patient) -> Iterator[Check]:
    advice = "set the computer's clock (NTP)"
    state = patient.home / "state" / "state.json"
    if patient.now < EARLIEST:
        yield Check("clock", FAIL, f"it is {iso(int(patient.now))}", advice)
    elif state.exists() and state.stat().st_mtime > patient.now + AHEAD_S:
        yield Check(
            "clock", WARN, f"state.json was written at {iso(int(state.stat().st_mtime))}, later than now", advice
        )
    else:
        yield Check("clock", OK, iso(int(patient.now)))
