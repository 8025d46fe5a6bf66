"""Bugs that cost other people money, planted one by one: `make planted` prints which test kills each.

A row is a bug, where it really happened (`../shared/anchors`: user_asks A1 .. D8, lessons (1) .. (8)), the words of our
source that are exchanged, and the tests that have to notice. Ends with 1 if one survives or cannot be planted any more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIVES = "tests/faults/test_simulation.py"
SCHEDULES = "tests/faults/test_schedules.py"
WEATHER = "tests/faults/test_weather.py"
PROTOCOL = "tests/engine/test_protocol.py"
VERDICT = "tests/engine/test_verdict.py"
STATE = "tests/store/test_state.py"
WIRE = "tests/venues/test_roostoo_wire.py"
ROOSTOO = "tests/venues/test_roostoo.py"


@dataclass(frozen=True)
class Bug:
    """One row. edits  path under src, old words (found once), new words."""

    name: str
    source: str
    edits: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]


def bug(name: str, source: str, path: str, old: str, new: str, *tests: str) -> Bug:
    """A bug of one edit."""
    return Bug(name, source, ((f"evenkeel/{path}", old, new),), tests)


BUGS = (
    bug("an order post is tried again after a time-out", "A1 trading-signals PR 1178, Jackyman666 (6)",
        "venues/roostoo_wire.py", "tries = 1 if call.endpoint.once else _TRIES", "tries = _TRIES", WIRE, LIVES),
    bug("the record is written after the order was sent", "A1 freqtrade, hummingbot",
        "engine/protocol.py", "status=IntentStatus.SENT, note", "status=IntentStatus.PREPARED, note", LIVES),
    bug("a time-out counts as rejected", "A1 hummingbot, NautilusTrader",
        "engine/protocol.py", "IntentStatus.UNKNOWN, attempts, str", "IntentStatus.REJECTED, attempts, str", LIVES),
    bug("every attempt has a new id", "A1 kalshi-ai-trading-bot uuid4()", "portfolio/orders.py",
        'id=f"{slot.kind.value[:3]}{slot.time:x}-{asset}-{leg}"', 'id=__import__("uuid").uuid4().hex', LIVES),
    bug("not found at the first look means not placed", "A1 hummingbot#3374, bennycode", "engine/verdict.py",
        "if polls > 0 or seconds > 0:", "if False:", LIVES),
    bug("three looks in a hurry mean not placed", "A1 hummingbot: lost after 3 'not found'", "engine/verdict.py",
        "if polls > 0 or seconds > 0:", "if polls > 0:", PROTOCOL),
    bug("of two orders that fit, one is taken", "A1 5an1ty/BitBot#27; O16", "engine/verdict.py",
        "if len(ids) > 1:", "if len(ids) > 9:", VERDICT),
    bug("an older order is taken for the new one", "A2 freqtrade#13399", "engine/verdict.py",
        "or order.number > sent.highest)\n        and", "or order.number >= 0)\n        and", VERDICT),
    bug("an order is bound only at the third look", "R2: at most two reconciliations", "engine/verdict.py",
        "    if ids:\n        return _bound(", "    if ids and silence.polls > 2:\n        return _bound(", LIVES),
    bug("an order of another intent is taken", "A2 freqtrade#13399", "engine/verdict.py",
        "frozenset(o.id for o in orders if o.id not in bound and", "frozenset(o.id for o in orders if", VERDICT),
    bug("one order is bound to two intents", "A1 hummingbot#720", "engine/verdict.py",
        "claims[verdict.order.id] > 1", "claims[verdict.order.id] > 9", VERDICT),
    bug("a fill that is shown twice counts twice", "A2 NautilusTrader#3046; O8", "engine/verdict.py",
        "decimal_sum({fill.id: fill.quantity for fill in order.fills}.values())",
        "decimal_sum(fill.quantity for fill in order.fills)", VERDICT),
    bug("a cancel wins over the fill it raced with", "A5; O10", "engine/verdict.py",
        "o.status is IntentStatus.FILLED, len", "o.status is not IntentStatus.FILLED, len", VERDICT),
    bug("a CANCELED row's FilledQuantity is a fill", "weiyuanoh/Roostoo-bot-v2 (6)", "venues/roostoo_rows.py",
        'if status == "FILLED" else (None, "")', 'if status in ("FILLED", "CANCELED") else (None, "")', ROOSTOO),
    Bug("an order is booked although Success is false", "narhenn/SG-HK-Roostoo (6)", (
        ("evenkeel/venues/roostoo_wire.py", 'if reply is None or reply.get("Success") is not False:', "if True:"),
        ("evenkeel/venues/roostoo_wire.py", 'if reply.get("Success", not endpoint.judged) is not True:', "if False:"),
    ), (WIRE,)),
    bug("quantities are rounded up", "round() in Roostoo-bot-v2 (6); A4", "units.py",
        "rounding=ROUND_DOWN", 'rounding="ROUND_HALF_UP"', "tests/laws/test_planner.py"),
    bug("the signature is over unsorted parameters", "specs/roostoo.md section 1", "venues/roostoo_wire.py",
        "for name in sorted(params))", "for name in params)", WIRE),
    bug("a missing price is 50", "C8 kalshi-ai-trading-bot PR 91", "venues/roostoo_rows.py",
        'raise VenueUnknownError(f"{name} is missing")', "return Decimal(50)", ROOSTOO),
    bug("a wake-up 1 s late is dropped", "B1 apscheduler#296", "service/loop.py",
        '"misfire_grace_time": None', '"misfire_grace_time": 1', "tests/faults/test_scenarios.py"),
    bug("reconciling sells what is held on paper", "A2 NautilusTrader#4736", "portfolio/book.py",
        "_adopt(positions, asset, now, holdings.time", "_adopt(positions, asset, Decimal(0), holdings.time", LIVES),
    bug("a partial fill is sent again in full", "A5 freqtrade#12343", "portfolio/schedule.py",
        "rest = left(plan, children)", "rest = plan.parent.quantity", "tests/portfolio/test_schedule.py"),
    bug("the state file is not flushed before the rename", "A3 profit-trailer#484, trade-executor", "store/state.py",
        "        disk.sync(temporary)\n", "", LIVES, STATE),
    bug("the rename is not flushed", "A3 trade-executor", "store/state.py",
        "        disk.sync_folder(self.folder)\n", "", LIVES, STATE),
    bug("a damaged state begins anew", "A3 profit-trailer#774", "store/state.py",
        "if seen.document is None and seen.bad:", "if False:", STATE),
    bug("the kill switch is asked when planning only", "A7 hummingbot#2534", "engine/protocol.py",
        "if halted() or memory.trading_state is TradingState.HALTED:", "if False:", "tests/laws/test_halt.py"),
    bug("REDUCING still buys", "A7; O20", "engine/protocol.py",
        'return "TRADING_STATE_REDUCING"', 'return ""', PROTOCOL),
    bug("two instances share one account", "A8 freqtrade#8666", "store/lock.py",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "", "tests/store/test_lock.py"),
    bug("a clock set back runs a slot twice", "B1, B4; T3", "engine/slots.py",
        "first = watermark + step - watermark % step", "first = min(watermark, now - now % step - step) + step",
        "tests/laws/test_slots.py"),
    bug("a deposit is a gain, a withdrawal a drawdown", "D12", "portfolio/book.py",
        "replace(day, open=day.open + by, high=day.high + by) if by else day", "day", "tests/portfolio/test_book.py"),
    bug("a year has 252 days", "C7 quantstats#116", "metrics.py",
        "DAYS_A_YEAR = YEAR_S / DAY_S", "DAYS_A_YEAR = 252.0", "tests/metrics/test_metrics.py"),
    bug("orders fill at a price the decision saw", "Botrader (1)", "engine/replay.py",
        '_open_time, time, side="left"))', '_open_time, time, side="left")) - 1',
        "tests/laws/test_causality.py", "tests/research/test_honesty.py"),
    bug("a price of 0 is a price", "A6 freqtrade#3769", "market/quality.py",
        "    verdict[lowest <= 0] = Fault.ZERO\n", "", "tests/market/test_quality.py"),
    bug("the call limit is not kept", "B5 passivbot PR 567", "venues/limiter.py",
        "                self._granted.append(now)\n", "", "tests/venues/test_limiter.py"),
    bug("audit rows are not chained", "R11", "journal.py",
        "canonical([previous, time,", 'canonical(["", time,', "tests/journal/test_journal.py"),
    bug("secrets stand in errors", "D5", "venues/roostoo_wire.py",
        'return text.replace(self.secret, "***").replace(self.key, "***")', "return text", WIRE),
    bug("purchases go before the sales that pay them", "O12, O13", "portfolio/orders.py",
        "1 if quantity < 0 else 2", "2 if quantity < 0 else 1", "tests/portfolio/test_orders.py"),
    bug("silence is measured by a clock that was set back", "found by the simulation; T3", "engine/protocol.py",
        "trace.asked if 0 < trace.asked <= time else time", "trace.asked or time", LIVES),
    bug("a flatten swallows a slot that is due", "found by the simulation; law 12", "service/loop.py",
        'self._work("risk", None)', 'self._resume(LANES["risk"])', LIVES),
    bug("an order is looked for by a clock that was wrong", "found by the simulation; T3", "engine/protocol.py",
        "_EARLIER_S = 86_400", "_EARLIER_S = 600", LIVES),
    bug("a clock that jumps ahead passes for patience", "found by the simulation; T3", "service/loop.py",
        "if abs(moved) > MOVED_S:", "if False:", LIVES),
    bug("slots that a wrong clock spent leave stops unwatched", "found by review; T3", "service/loop.py",
        'if name == "risk" and self._overdue():', "if False:", LIVES),
    bug("a slice that nobody understands holds its slot for ever", "found by the simulation; O16", "engine/parents.py",
        "if not out or given_up:", "if not out:", LIVES),
    bug("what remains of a partial fill is counted twice", "A5 freqtrade#12343; O9", "portfolio/schedule.py",
        "return max(got, Decimal(0)) if intent.status.resolved else",
        "return max(got * (intent.status is IntentStatus.FILLED), Decimal(0)) if intent.status.resolved else",
        LIVES, SCHEDULES),
    bug("of a fill in parts only the last is booked", "A2 NautilusTrader#3046", "engine/protocol.py",
        "fills = found.fills if not", "found = changed(found, fills=found.fills[-1:])\n    fills = found.fills if not",
        LIVES),
    bug("what is in the books already is booked at the end again", "O8; ADR 16", "engine/step.py",
        "if not known or intent.order.id not in known]", "]", LIVES),
    bug("cash that a person's order holds back is spent", "O22", "decide.py",
        "book.holdings.cash - book.holdings.locked", "book.holdings.cash", LIVES),
    bug("units that a person's order holds back are sold", "found by review; O22", "decide.py",
        "locked=book.holdings.locked_units,", "", LIVES),
    bug("a slice is sold beside the stop of its pair", "found by the simulation", "engine/parents.py",
        "isinstance(said, Child) and _elsewhere(parent, step, memory)", "False", "tests/engine/test_execution.py"),
    bug("an open breaker is ignored", "B5; issue 5", "service/watch.py",
        "breakers.trading_state(memory.trading_state, memory.state_reason, codes)",
        "memory.trading_state, memory.state_reason", LIVES, WEATHER),
    bug("breakers are never asked", "B5; issue 5", "service/runner.py",
        "if watch is None:\n            return\n        with", "if True:\n            return\n        with", LIVES,
        WEATHER),
    bug("a breaker never closes where nothing is traded", "found by the simulation", "portfolio/breakers.py",
        " or place >= newest)", ")", WEATHER),
    bug("a pair of bad fills is crossed all the same", "O11", "engine/parents.py",
        "wary = memory.limit_only.get(order.asset, 0) > start", "wary = False", WEATHER),
)  # fmt: skip


def spoiled(bug: Bug) -> Mapping[str, str]:
    """Source of each module that the bug changes. Raises ValueError where its words do not stand there once."""
    texts: dict[str, str] = {}
    for path, old, new in bug.edits:
        text = texts.get(path) or (ROOT / "src" / path).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{bug.name}: {path} has {text.count(old)} times {old!r}: plant it anew")
        texts[path] = text.replace(old, new)
    return texts


def killer(number: int) -> str:
    """The first test that fails with the bug in place; `` = it survived, or could not be planted."""
    bug = BUGS[number]
    try:
        spoiled(bug)
    except ValueError as error:
        sys.stdout.write(f"{error}\n")
        return ""
    return failing(bug.tests, EVENKEEL_PLANTED=str(number))


def failing(tests: Iterable[str], **env: str) -> str:
    """The first test that fails in a process of its own; `` = all pass."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "faults.planting"]
    words += ["-m", "not slow", "--no-header", "-rfE", *tests]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "COLUMNS": "300"} | env
    done = subprocess.run(words, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].rpartition("/")[2] if done.returncode and failed else ""


def table(numbers: Iterable[int]) -> list[tuple[Bug, str]]:
    """Each bug and its killer, two at a time."""
    chosen = list(numbers)
    with ThreadPoolExecutor(2) as pool:
        return [(BUGS[i], found) for i, found in zip(chosen, pool.map(killer, chosen), strict=True)]


def shown(rows: Iterable[tuple[Bug, str]]) -> str:
    """For people."""
    return "\n".join(f"{bug.name:<54} {bug.source:<44} {found or 'SURVIVED'}" for bug, found in rows)


def main() -> int:
    """0 = every bug was killed, by tests that pass without it."""
    rows = table([int(word) for word in sys.argv[1:]] or range(len(BUGS)))
    killed = sum(bool(found) for _, found in rows)
    sound = failing(sorted({test for bug, _ in rows for test in bug.tests}))
    sys.stdout.write(f"{shown(rows)}\n{killed} of {len(rows)} planted bugs killed\n")
    sys.stdout.write(f"without any bug {sound} fails as well: it proves nothing\n" if sound else "")
    return 0 if killed == len(rows) and not sound else 1


if __name__ == "__main__":
    sys.exit(main())
