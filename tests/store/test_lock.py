"""One writer per home, judged by the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenkeel.errors import LockedError, StateError
from evenkeel.store import Lock, holder

OWNER = """
import sys, time
from pathlib import Path
from evenkeel.store import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_second_instance_is_refused_and_kill_9_frees(tmp_path: Path) -> None:
    """Exit 75 in well under a second, naming the pid; free at once when the owner is killed."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        begin = time.monotonic()
        with pytest.raises(LockedError, match=rf"pid {owner.pid}") as refusal:
            Lock(tmp_path)
        assert time.monotonic() - begin < 0.5
        assert refusal.value.exit_code == 75
        assert holder(tmp_path) == owner.pid
        owner.send_signal(signal.SIGKILL)
        owner.wait()

    assert holder(tmp_path) is None
    with Lock(tmp_path):
        assert holder(tmp_path) == os.getpid()


def test_the_lock_is_freed_by_release(tmp_path: Path) -> None:
    """Two in one process exclude each other too; releasing twice does no harm."""
    first = Lock(tmp_path)
    with pytest.raises(LockedError):
        Lock(tmp_path)
    first.release()
    first.release()

    Lock(tmp_path).release()


def test_an_empty_lock_file_is_still_a_lock(tmp_path: Path) -> None:
    """What stands in the file is for people only."""
    with Lock(tmp_path):
        (tmp_path / "state" / "lock").write_text("")
        with pytest.raises(LockedError, match="pid unknown"):
            Lock(tmp_path)
        assert holder(tmp_path) is None


def test_a_home_that_cannot_be_locked(tmp_path: Path) -> None:
    """A sentence, not a traceback."""
    (tmp_path / "home").write_text("")

    with pytest.raises(StateError, match="cannot open"):
        Lock(tmp_path / "home")
