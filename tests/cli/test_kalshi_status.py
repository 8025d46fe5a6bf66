"""`kalshi status --check`: healthy, or degraded with every reason that there is; it asks nobody."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from evenkeel.cli import kalshi_status
from evenkeel.desk.ledger import Ledger, Stake
from evenkeel.store import Store
from evenkeel.types import Identity, Intent, IntentStatus, OpenSlot, Order, Slot, SlotKind, SlotOutcome, TradingState

WHO = Identity("kalshi-paper", "paper", "real", "http://nobody")
NOW = 1_790_000_000


def turns(*outcomes: str, ago: int = 60) -> tuple[SlotOutcome, ...]:
    """Slots that ended, the last `ago` s before now, five minutes apart."""
    times = [NOW - ago - 300 * n for n in reversed(range(len(outcomes)))]
    rows = zip(times, outcomes, strict=True)
    return tuple(SlotOutcome(f"score@{at}", "score", at, how, "" if how == "done" else "why", at) for at, how in rows)


FINE = Ledger(WHO, NOW - 9_000, cash=Decimal(100), bankroll=Decimal(100), slots=turns("done", "failed", "failed"))
ORDER = Order("k1-0-A", "score@1", 0, "A-1", Decimal(1), "EDGE", style="limit")


@pytest.fixture
def check(run, tmp_path, monkeypatch):
    """Exit code and line of `kalshi status --check` for a ledger, asked now, however long the tests take."""
    monkeypatch.setattr(kalshi_status, "time", SimpleNamespace(time=lambda: float(NOW)))

    def asked(ledger: Ledger):
        store = Store.open(tmp_path, WHO, now=lambda: NOW, of="kalshi.json", kind=Ledger)
        store.begin(ledger)
        done = run(tmp_path, "kalshi", "status", "--check")
        return done.code, done.out.strip()

    return asked


def test_a_desk_that_goes_on_is_healthy(check):
    """Two turns that failed are no matter for a person yet."""
    assert check(FINE) == (0, "healthy")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trading_state": TradingState.HALTED, "state_reason": "DRAWDOWN"}, "HALTED (DRAWDOWN): nothing is"),
        ({"trading_state": TradingState.REDUCING, "state_reason": "DAILY_LOSS"}, "(DAILY_LOSS): nothing is bought"),
        ({"quarantined": {"A-1": "AMBIGUOUS"}}, "A-1 is quarantined: AMBIGUOUS"),
        ({"doubt": "cash 1 is 2"}, "the venue differs (cash 1 is 2)"),
        ({"slots": turns("done", "failed", "failed", "failed")}, "the last 3 turns failed (why)"),
        ({"slots": turns("done", ago=7_200)}, "the last turn was 2h ago and no desk is running"),
        ({"held": {"A-1": Stake("A-1", "A", "A", "", "c", "c", NOW, count=Decimal(1))}}, "UNPRICED"),
        (
            {"open_slots": (OpenSlot(Slot(SlotKind.SCORE, 1), 1, {}, (Intent(ORDER, IntentStatus.UNKNOWN),)),)},
            "1 orders are unresolved",
        ),
    ],
)  # fmt: skip
def test_each_reason_is_said_and_degrades(check, changes, said):
    code, line = check(replace(FINE, **changes))

    assert code == 5
    assert line.startswith("degraded: ")
    assert said in line
    assert line.count(";") == 0


def test_a_halt_marker_and_a_damaged_state_are_said_together(check, run, tmp_path):
    check(FINE)
    store = Store.open(tmp_path, WHO, now=lambda: NOW, of="kalshi.json", kind=Ledger)
    store.load()
    store.commit(lambda now: replace(now, fees=Decimal(1)))
    path = tmp_path / "state" / "kalshi.json"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])
    (tmp_path / "state" / "HALT").touch()
    done = run(tmp_path, "kalshi", "status", "--check", "--json")

    assert done.code == 5
    assert done.json["healthy"] is False
    assert [problem.partition(" ")[0] for problem in done.json["problems"]] == ["state/HALT", "kalshi.json"]
