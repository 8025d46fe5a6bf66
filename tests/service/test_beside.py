"""A desk beside the service: a process of its own, begun again when it ends, gone when the service is gone."""

from __future__ import annotations

import json
import sys
import threading
from decimal import Decimal

import pytest

from cli.test_kalshi import box  # noqa: F401 - a fixture
from e2e.program import log, until
from evenkeel.errors import LockedError
from evenkeel.service import beside
from evenkeel.store import Lock
from service.test_realtime import Exchange, service, slots, stopped
from service.test_retraining import Log


def kept(code, times, took=1.0):
    """A program in the place of the desk, until it ended so many times: what was logged, without process numbers."""
    told, stop, steady = Log(), threading.Event(), iter(range(10**6))
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == times:
            stop.set()

    beside.kept([sys.executable, "-c", code], told, stop, pause, lambda: next(steady) * took)
    return [(event, fields) for event, fields in told.lines if event != "desk_started"], pauses


def test_what_ended_is_begun_again_after_a_pause_that_grows_and_its_last_sentence_is_logged():
    lines, pauses = kept("import sys; sys.stderr.write('evenkeel: no key\\n'); sys.exit(3)", 3)

    assert pauses == [5.0, 10.0, 20.0]
    assert lines == [
        ("desk_ended", {"code": 3, "error": "evenkeel: no key", "again_in_s": wait}) for wait in pauses
    ]  # fmt: skip


def test_one_that_held_out_for_long_is_begun_again_soon():
    _, pauses = kept("pass", 3, took=beside.LONGEST_S + 1)

    assert pauses == [beside.FIRST_S] * 3


def test_one_that_reads_its_input_runs_until_the_service_stops():
    told, stop = Log(), threading.Event()
    threading.Timer(0.5, stop.set).start()

    beside.kept([sys.executable, "-c", "import sys; sys.stdin.read()"], told, stop, stop.wait)

    assert [event for event, _ in told.lines] == ["desk_started", "desk_stopped"]


def free(home):
    """Whether no desk holds its state."""
    try:
        Lock(home, "kalshi.lock").release()
    except LockedError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_the_desk_takes_its_turns_beside_the_slots_and_is_gone_with_the_service(tmp_path, box, killed):  # noqa: F811
    home, (url, _) = tmp_path / "home", box
    book = home / "data" / "paper" / "book.json"
    more = ("kalshi.desk=paper", "kalshi.interval=2", f"kalshi.url={url}/kalshi/trade-api/v2")
    with Exchange() as exchange, service(home, exchange, *more) as process:
        until(lambda: book.exists() and len(slots(home)) >= 3, what="a turn and three slots")
        assert not free(home)
        assert Decimal(str(json.loads(book.read_text())["cash"])) == 100
        if killed:
            process.kill()
        else:
            stopped(process, home, within=15)
        until(lambda: free(home), timeout=20, what="the desk's end")

    assert [row["event"] for row in log(home)].count("desk_started") == 1
