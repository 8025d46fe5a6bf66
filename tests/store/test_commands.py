"""Commands, HALT and heartbeat: what other processes may say."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evenkeel.errors import StateError, UsageError
from evenkeel.store import (
    beat,
    clear_halt,
    finish,
    halt_reason,
    halted,
    pending,
    read_heartbeat,
    send,
    set_halt,
    take,
)

NOON = 1_751_371_200.25


def test_commands_arrive_in_order_and_once(tmp_path: Path) -> None:
    """Sorted by the time they were sent; taken ones lie in done/."""
    for seconds, command in ((2, "resume"), (0, "halt"), (1, "flatten")):
        send(tmp_path, command, f"r{seconds}", wall_time=NOON + seconds, by="ann")

    taken = take(tmp_path)

    assert [(c.command, c.reason, c.by) for c in taken.commands] == [
        ("halt", "r0", "ann"), ("flatten", "r1", "ann"), ("resume", "r2", "ann"),
    ]  # fmt: skip
    assert taken.commands[0].wall_time == NOON
    assert taken.commands[0].id.startswith("2025-07-01T120000.250000Z-")
    assert take(tmp_path).commands == ()
    assert len(list((tmp_path / "state/commands/done").iterdir())) == 3


def test_a_command_waits_until_it_is_finished(tmp_path: Path) -> None:
    """`pending` shows it again after a crash; `finish` puts it aside."""
    send(tmp_path, "halt", "why", wall_time=NOON)
    command = pending(tmp_path).commands[0]
    assert pending(tmp_path).commands == (command,)
    finish(tmp_path, command)
    finish(tmp_path, command)

    assert pending(tmp_path).commands == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b'"halt"', b"\xff\xfe", b'{"command": "explode"}', b'{"command": ["halt"]}',
        b'{"command": "halt", "reason": 5}', b'{"command": "halt", "price": 5}',
        b'{"command": "halt", "wall_time": "now"}', b"[" * 9_000, b'{"command": "halt", "reason": "' + b"x" * 20_000,
    ],
)  # fmt: skip
def test_malformed_commands_are_set_aside(tmp_path: Path, raw: bytes) -> None:
    """Neither obeyed nor deleted nor in the way of the next one."""
    good = send(tmp_path, "reduce", "why", wall_time=NOON)
    (tmp_path / "state/commands/0.json").write_bytes(raw)

    taken = take(tmp_path)

    assert [command.id for command in taken.commands] == [good]
    assert [path.read_bytes() for path in taken.quarantined] == [raw]
    assert take(tmp_path) == ((), ())


def test_a_folder_named_like_a_command_is_set_aside(tmp_path: Path) -> None:
    """Whatever has the name of a command but is none."""
    (tmp_path / "state/commands/x.json").mkdir(parents=True)

    assert len(take(tmp_path).quarantined) == 1


def test_a_command_may_be_written_by_hand(tmp_path: Path) -> None:
    """`{"command": "halt"}` is enough; half-written files of senders are not seen."""
    folder = tmp_path / "state/commands"
    folder.mkdir(parents=True)
    (folder / "mine.json").write_text('{"command": "halt"}')
    (folder / ".half.json").write_text("{")

    assert [(command.id, command.command) for command in take(tmp_path).commands] == [("mine", "halt")]


def test_unknown_words_are_refused_where_they_are_typed(tmp_path: Path) -> None:
    """The sender learns of it, not the service."""
    with pytest.raises(UsageError, match="halt, reduce, resume, flatten"):
        send(tmp_path, "stop", "why", wall_time=NOON)
    (tmp_path / "home").write_text("")
    with pytest.raises(StateError, match="cannot use"):
        send(tmp_path / "home", "halt", "why", wall_time=NOON)


def test_concurrent_senders_lose_nothing(tmp_path: Path) -> None:
    """Six senders in threads, two in processes, one taker: every command exactly once."""
    script = (
        "import sys; from pathlib import Path; from evenkeel.store import send\n"
        "for i in range(20): send(Path(sys.argv[1]), 'reduce', sys.argv[2] + f'-{i}', wall_time=7.0)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"p{p}"]) for p in range(2)]

    def sender(name: str) -> None:
        for i in range(20):
            send(tmp_path, "reduce", f"{name}-{i}", wall_time=7.0)

    threads = [threading.Thread(target=sender, args=(f"t{t}",)) for t in range(6)]
    for thread in threads:
        thread.start()
    reasons: list[str] = []
    deadline = time.monotonic() + 30
    while len(reasons) < 160 and time.monotonic() < deadline:
        taken = take(tmp_path)
        assert not taken.quarantined
        reasons += [command.reason for command in taken.commands]
    for thread in threads:
        thread.join()
    for process in processes:
        assert process.wait() == 0

    assert sorted(reasons) == sorted(f"{name}-{i}" for name in [*(f"t{t}" for t in range(6)), "p0", "p1"]
                                     for i in range(20))  # fmt: skip


def test_halt_marker(tmp_path: Path) -> None:
    """Anyone may create it, by any means; it says why if it was told."""
    assert not halted(tmp_path)
    assert halt_reason(tmp_path) == ""
    set_halt(tmp_path, "venue is odd", wall_time=NOON, by="ann")
    assert halted(tmp_path)
    assert halt_reason(tmp_path) == "venue is odd"
    clear_halt(tmp_path)
    clear_halt(tmp_path)
    assert not halted(tmp_path)
    (tmp_path / "state/HALT").write_text("by hand\n")
    assert halt_reason(tmp_path) == "by hand"
    (tmp_path / "state/HALT").unlink()
    (tmp_path / "state/HALT").symlink_to("nowhere")

    assert halted(tmp_path)


def test_halt_fails_closed(tmp_path: Path) -> None:
    """If it cannot be told whether the marker is there, it is."""
    (tmp_path / "state").write_text("no folder")

    assert halted(tmp_path)


def test_heartbeat(tmp_path: Path) -> None:
    """The last beat is read, a shorter one leaves nothing of a longer one; no folder is no crash."""
    assert not beat(tmp_path, wall_time=1.0, slot="", phase="idle")
    assert read_heartbeat(tmp_path) is None
    (tmp_path / "state").mkdir()
    assert beat(tmp_path, wall_time=1.0, slot="rebalance@2025-07-01T06:00:00Z", phase="x" * 500)
    assert beat(tmp_path, wall_time=2.0, slot="", phase="idle")

    assert read_heartbeat(tmp_path) == {"wall_time": 2.0, "slot": "", "phase": "idle"}
    (tmp_path / "state/heartbeat").write_text(json.dumps([1]))
    assert read_heartbeat(tmp_path) is None


def test_imports_are_light() -> None:
    """`evenkeel status` reads the state without anything heavy."""
    script = (
        "import sys; import evenkeel.store, evenkeel.journal\n"
        "heavy = {'pandas', 'pydantic', 'lightgbm', 'sqlite_utils', 'ccxt', 'requests', 'ta'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
