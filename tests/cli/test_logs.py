"""logs: merged in order, filtered, followed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys

import pytest

from evenkeel.cli import logs
from evenkeel.engine.record import alert_row
from evenkeel.journal import Journal
from evenkeel.types import Record
from evenkeel.units import utc


def _lines(said):
    return said.json["lines"]


def test_lines_come_in_time_order_from_log_and_journal(run, played):
    lines = _lines(run(played, "logs", "--level", "debug", "--limit", "100000", "--json"))

    assert {line["source"] for line in lines} == {"log", "journal"}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    orders = [(line["slot"], line["asset"]) for line in lines if line["event"] == "order"]
    assert len(orders) == len(set(orders))
    ended = [line["slot"] for line in lines if line["event"] in {"decided", "slot", "slot_ended"}]
    assert sorted(ended) == sorted(set(ended))


def test_the_journal_fills_in_for_a_lost_log(run, played):
    with_log = {
        (line["slot"], line["asset"])
        for line in _lines(run(played, "logs", "--limit", "100000", "--json"))
        if line["event"] == "order"
    }
    (played / "logs" / "evenkeel.jsonl").unlink()

    lines = _lines(run(played, "logs", "--limit", "100000", "--json"))

    assert {(line["slot"], line["asset"]) for line in lines if line["event"] == "order"} == with_log


def test_rotated_files_are_read_first(run, played):
    whole = _lines(run(played, "logs", "--limit", "100000", "--json"))
    log = played / "logs" / "evenkeel.jsonl"
    raw = log.read_bytes().splitlines(keepends=True)
    log.with_name("evenkeel.jsonl.1").write_bytes(b"".join(raw[: len(raw) // 2]))
    log.write_bytes(b"".join(raw[len(raw) // 2 :]))

    assert _lines(run(played, "logs", "--limit", "100000", "--json")) == whole


def test_filters_by_slot_asset_level_and_time(run, played):
    by_asset = _lines(run(played, "logs", "--asset", "btc", "--json"))
    by_slot = _lines(run(played, "logs", "--slot", "rebalance@2025-07-01T06:00:00Z", "--json"))
    by_kind = _lines(run(played, "logs", "--slot", "rebalance", "--json"))
    late = _lines(run(played, "logs", "--since", "2h", "--limit", "100000", "--json"))
    bad = _lines(run(played, "logs", "--level", "error", "--json"))

    assert by_asset
    assert {line["asset"] for line in by_asset} == {"BTC"}
    assert {line["slot"] for line in by_slot} == {"rebalance@2025-07-01T06:00:00Z"}
    assert {line["slot"].partition("@")[0] for line in by_kind} == {"rebalance"}
    assert min(line["time"] for line in late) >= "2025-07-02T09:30:00Z"
    assert bad == []


def test_limit_keeps_the_newest(run, played):
    everything = _lines(run(played, "logs", "--limit", "100000", "--json"))

    assert _lines(run(played, "logs", "--limit", "3", "--json")) == everything[-3:]


def test_people_get_one_line_each(run, played):
    said = run(played, "logs", "--limit", "5")

    assert said.code == 0
    assert said.out.count("\n") == 5


def test_a_torn_line_is_shown_not_fatal(run, played):
    with (played / "logs" / "evenkeel.jsonl").open("ab") as file:
        file.write(b'{"wall": "2026-')

    assert run(played, "logs").code == 0


@pytest.mark.parametrize("words", [("--since", "soon"), ("--level", "loud"), ("--limit", "0")])
def test_mistakes_exit_2(run, played, words):
    said = run(played, "logs", *words)

    assert said.code == 2
    assert "Traceback" not in said.err


def test_nothing_ran_is_not_ready(run, tmp_path):
    assert run(tmp_path, "logs").code == 3


def test_follow_goes_on_with_new_lines(played):
    """A line appended to the log appears at once, on a pipe too; SIGINT ends it quietly."""
    words = [sys.executable, "-m", "evenkeel", "--home", str(played), "logs", "--follow", "--json", "--limit", "1"]

    def heard() -> None:
        """A suite started in the background inherits an ignored SIGINT."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        preexec_fn=heard,  # noqa: PLW1509 - no threads here
    ) as process:
        try:
            assert next_line(process)["event"]
            with (played / "logs" / "evenkeel.jsonl").open("ab") as file:
                file.write(b'{"wall":"2026-01-01T00:00:00Z","level":"warning","event":"new","slot":null}\n')
            assert next_line(process)["event"] == "new"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert b"Traceback" not in err


def next_line(process):
    """What it printed next; a failure where nothing comes for a minute."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    assert ready, "nothing was printed"
    return json.loads(process.stdout.readline())


def test_what_is_written_while_the_past_is_shown_is_followed(tmp_path):
    """Between reading what lies there and following, no line is lost and none comes twice."""
    log = tmp_path / "logs" / "evenkeel.jsonl"
    log.parent.mkdir()
    old, new = (
        f'{{"wall":"2026-01-01T00:00:0{n}Z","level":"info","event":"{w}","slot":null}}\n' for n, w in enumerate("on")
    )
    log.write_text(old)
    end = logs.end_of(log)
    with log.open("a") as file:
        file.write(new)

    past = logs.merged(logs.Place.of(tmp_path), end)

    assert [line["event"] for line in past] == ["o"]
    assert next(logs.tail(log, end))["event"] == "n"


def _desk(home):
    """A log and a journal of a desk: two turns, the second halted; the alert stands in both."""
    slots = [f"score@2026-11-01T00:0{n}:00Z" for n in (0, 5)]
    told = [("kalshi_decided", slots[0], {}), ("kalshi_decided", slots[1], {}),
            ("kalshi_alert", slots[1], {"code": "DRAWDOWN", "text": "the desk is HALTED"})]  # fmt: skip
    lines = [{"wall": "2026-11-01T00:00:00Z", "level": "info", "event": e, "slot": s, **more} for e, s, more in told]
    (home / "logs").mkdir()
    (home / "logs" / "kalshi.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ended = {"kind": "score", "outcome": "done", "reason": "", "orders": 0}
    rows = [{"slot": s, "time": utc(s[6:]), "as_of": utc(s[6:]), **ended} for s in slots]
    alert = alert_row(utc(slots[1][6:]), "page", "DRAWDOWN", "the desk is HALTED", slot=slots[1])
    with contextlib.closing(Journal.open(home / "state" / "kalshi-journal.db")) as journal:
        journal.write(Record(1, {"slots": rows[:1]}))
        journal.write(Record(2, {"slots": rows[1:], "alerts": [alert]}))


def test_the_desks_log_and_journal_are_shown_when_asked_for(run, tmp_path):
    """Its own only; what stands in both comes once, and the journal fills in for a log that was lost."""
    _desk(tmp_path)
    rebalancer = run(tmp_path, "logs", "--json")
    lines = _lines(run(tmp_path, "logs", "--kalshi", "--level", "debug", "--json"))
    (tmp_path / "logs" / "kalshi.jsonl").unlink()
    left = _lines(run(tmp_path, "logs", "--kalshi", "--level", "debug", "--json"))

    assert rebalancer.code == 3
    assert [line["event"] for line in lines] == ["kalshi_decided", "kalshi_decided", "kalshi_alert"]
    assert sorted(line["event"] for line in left) == ["DRAWDOWN", "slot", "slot"]
    assert [line["level"] for line in left if line["event"] == "DRAWDOWN"] == ["page"]


def test_where_no_desk_has_run_the_command_that_starts_one_is_named(run, played):
    said = run(played, "logs", "--kalshi")

    assert (said.code, "start `evenkeel kalshi paper`" in said.err) == (3, True)
