"""Everything that a user can get wrong: one sentence, a documented exit code, nothing lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.program import SMALL, assert_refused, document, evenkeel, log, running, sets, state, tree, until
from evenkeel import archive
from evenkeel.errors import DataError, StateError
from evenkeel.market.panel import panel
from evenkeel.store import FaultyDisk, RealDisk, Store
from laws import world

START = 1_739_145_600
"""2025-02-10T00:00:00Z."""
BAR = 1_800
FULL = os.environ.get("EVENKEEL_TEST_PROFILE") == "full"


@pytest.fixture(scope="module")
def half_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose run stopped in the middle; tests work on copies of it."""
    home = tmp_path_factory.mktemp("half") / "home"
    document(evenkeel(home, "run", *SMALL, "--until", "2025-02-10T14:10", "--json"))
    return home


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the small run prints when nothing disturbs it."""
    return document(evenkeel(tmp_path_factory.mktemp("calm"), "run", *SMALL, "--json"))


@pytest.fixture
def home(half_run: Path, tmp_path: Path) -> Path:
    """A fresh copy of the home that stopped in the middle."""
    subprocess.run(["cp", "-a", half_run, tmp_path / "home"], check=True)
    return tmp_path / "home"


# ---------------------------------------------------------------- configuration and command line


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "clock.sped=3"], 2, ("unknown key clock.sped", "did you mean clock.speed?")),
        (["--set", "history.days=0"], 2, ("history.days is 0", "1 to 3,650")),
        (["--set", "seed=abc"], 2, ("seed is 'abc'",)),
        (["--set", "nonsense"], 2, ("key=value",)),
        (["--config", "nope.yaml"], 2, ("nope.yaml", "no such file")),
        (["--config", "config/demo.yaml", "--set", "clock.from=2025-03-01"], 2, ("from must be before to",)),
        (["--config", "config/demo.yaml", "--once", "risk"], 2, ("--once", "clock.kind=real")),
        (["--config", "config/demo.yaml", "--until", "someday"], 2, ("--until someday",)),
        (
            ["--config", "config/demo.yaml", "--until", "2025-01-01"],
            2,
            ("--until 2025-01-01", "is not after clock.from"),
        ),
        (["--until", "2025-01-01"], 2, ("--until", "virtual clock")),
        (["--config", "config/demo.yaml", "--orders-out", "/nowhere/orders"], 2, ("--orders-out /nowhere/orders",)),
        (["--config", "config/demo.yaml", "--set", "universe.file=nope.yaml"], 2, ("nope.yaml",)),
        (["--config", "config/demo.yaml", "--set", "universe.only=[NOPE]"], 2, ("NOPE is not listed",)),
        (["--config", "config/demo.yaml", "--set", "universe.only=[ETH]"], 2, ("BTC", "every signal needs it")),
        (["--config", "config/replay.yaml"], 3, ("no candles of perp_30m", "evenkeel data import")),
        (["--config", "config/demo.yaml", "--set", "history.from=2025-02-11"], 3, ("first bar closes at",)),
    ],
    ids=lambda value: "-".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_wrong_run_is_one_sentence(tmp_path: Path, words: list[str], code: int, said: tuple[str, ...]) -> None:
    """Nothing begins, nothing is written."""
    assert_refused(evenkeel(tmp_path / "home", "run", *words), code, *said)

    assert state(tmp_path / "home") == {}


def test_an_empty_universe_is_not_ready(tmp_path: Path) -> None:
    """Everything excluded: exit 3."""
    rows = re.findall(r"asset: (\w+)", (Path("config") / "universe.yaml").read_text())
    assert len(rows) > 80

    done = evenkeel(tmp_path, "run", "--config", "config/demo.yaml", *sets(f"universe.exclude=[{','.join(rows)}]"))

    assert_refused(done, 3, "the universe is empty")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clock: {kind: virtual\nfeed: [", ("wrong.yaml",)),
        ("- a\n- list\n", ("wrong.yaml", "not keys")),
        ("alocate: {}\n", ("unknown key alocate", "did you mean allocate?")),
        ("\x00\x01", ("wrong.yaml",)),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    """YAML that is none, or is no mapping, or has another's keys."""
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    assert_refused(evenkeel(tmp_path / "home", "run", "--config", str(path)), 2, *said)


def test_an_environment_variable_is_judged_like_a_file(tmp_path: Path) -> None:
    """It is named in the sentence."""
    done = evenkeel(tmp_path, "run", EVENKEEL__OVERLAY__TRAILING="12")

    assert_refused(done, 2, "EVENKEEL__OVERLAY__TRAILING", "overlay.trailing is 12")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2025-07-02", "--to", "2025-07-01"], ("from must be before to",)),
        (["--from", "gaga"], ("clock.from is 'gaga'",)),
        (["--capital", "-5"], ("venue.capital is -5",)),
    ],
)
def test_a_wrong_backtest_is_one_sentence(tmp_path: Path, words: list[str], said: tuple[str, ...]) -> None:
    """As for `run`."""
    assert_refused(evenkeel(tmp_path, "backtest", *words), 2, *said)


@pytest.mark.parametrize("words", [["rnu"], ["run", "--onse", "risk"], ["run", "--once", "never"], ["--home"]])
def test_unknown_words_are_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    """Exit 2 with typer's box, no traceback."""
    done = evenkeel(tmp_path, *words)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# ---------------------------------------------------------------- candle files


def candles(path: Path, *, hole: range = range(0), days: int = 40) -> Path:
    """A CSV of BTC and ETH from `days` before START; `hole`: bars that ETH lacks."""
    rng, lines = np.random.default_rng(3), ["timestamp,symbol,open,high,low,close,volume"]
    for symbol, price in (("BTCUSDT", 60_000.0), ("ETHUSDT", 3_000.0)):
        for number in range((days + 1) * 48):
            before, price = price, price * float(np.exp(0.002 * rng.standard_normal()))  # noqa: PLW2901 - a walk
            if symbol == "BTCUSDT" or number not in hole:
                high, low = max(before, price) * 1.001, min(before, price) * 0.999
                when = START - days * 86_400 + number * BAR
                lines.append(f"{when},{symbol},{before:.4f},{high:.4f},{low:.4f},{price:.4f},{1e4:.1f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace(",close,", ",clse,"), ("column close", "found:")),
        (lambda text: text.replace("1738000800,BTCUSDT,", "1738000800,BTCUSDT,cheap,", 1), ("candles.csv",)),
        (lambda text: re.sub(r"(\d+,BTCUSDT,)[\d.]+", r"\1cheap", text, count=1), ("row 1", "'cheap'", "open")),
        (lambda text: text.splitlines()[0] + "\n", ("no rows",)),
        (lambda text: "", ("empty",)),
    ],
    ids=["column", "cells", "text", "header", "nothing"],
)
def test_a_wrong_candle_file_is_refused_whole(tmp_path: Path, spoil, said: tuple[str, ...]) -> None:
    """Nothing of it is stored."""
    path = candles(tmp_path / "candles.csv", days=20)
    path.write_text(spoil(path.read_text()))

    assert_refused(evenkeel(tmp_path / "home", "data", "import", str(path), "--bar", "30m"), 2, *said)

    assert archive.datasets(tmp_path / "home") == ()


def test_a_missing_candle_file_is_named(tmp_path: Path) -> None:
    """Exit 2."""
    assert_refused(evenkeel(tmp_path, "data", "import", "gone.csv", "--bar", "30m"), 2, "gone.csv does not exist")


def test_a_panel_with_a_gap_in_time_is_refused() -> None:
    """Time has one constant step; whoever builds a panel is told where it is broken."""
    time_, ones = np.array([BAR, 2 * BAR, 4 * BAR]), np.ones((3, 1))

    with pytest.raises(DataError, match="1970-01-01T01:00:00Z"):
        panel(time_, ("BTC",), ones, ones, ones, ones, ones, BAR)


def test_a_hole_in_a_symbol_stays_a_hole_and_is_reported(tmp_path: Path) -> None:
    """The archive fills nothing: the missing bars are NaN, the report counts them, the run goes on around them."""
    home, hole = tmp_path / "home", range(1_000, 1_007)
    path = candles(tmp_path / "candles.csv", hole=hole)

    report = document(evenkeel(home, "data", "import", str(path), "--bar", "30m", "--source", "mine", "--json"))

    gaps = next(issue for issue in report["issues"] if issue["kind"] == "gap")
    assert gaps["count"] == 1, gaps
    assert report["rows"] == 2 * 41 * 48 - len(hole)
    pairs = [pair for pair in world.PAIRS if pair.asset in ("BTC", "ETH")]
    pairs = [_with_symbol(pair) for pair in pairs]
    loaded, missing = archive.load(home, "mine", BAR, pairs)
    assert missing == ()
    assert list(np.flatnonzero(np.isnan(loaded.close[:, 1]))) == list(hole)
    assert np.isfinite(loaded.close[:, 0]).all()

    words = sets("feed.source=mine", "universe.only=[BTC,ETH]", "history.days=30", "clock.to=2025-02-11")
    replay = ("--config", "config/replay.yaml", *sets("clock.from=2025-02-10"), *words)
    found = document(evenkeel(home, "run", *replay, "--json"))
    assert found["slots"] == {
        "risk": {"done": 96, "skipped": 0, "failed": 0},
        "score": {"done": 44, "skipped": 0, "failed": 0},
        "rebalance": {"done": 4, "skipped": 0, "failed": 0},
    }


def _with_symbol(pair):
    from dataclasses import replace

    return replace(pair, symbols={"binance": (f"{pair.asset}USDT", 1)})


@pytest.mark.slow
def test_a_window_before_the_data_says_so(tmp_path: Path) -> None:
    """Data of February, a run in January: exit 3, and nothing is begun."""
    home = tmp_path / "home"
    path = candles(tmp_path / "candles.csv", days=3)
    document(evenkeel(home, "data", "import", str(path), "--bar", "30m", "--source", "mine", "--json"))
    words = sets("feed.source=mine", "universe.only=[BTC,ETH]", "clock.from=2025-01-10", "clock.to=2025-01-11")

    assert_refused(evenkeel(home, "run", "--config", "config/replay.yaml", *words), 3, "no 30m candles of mine")

    late = sets("feed.source=mine", "universe.only=[BTC,ETH]", "clock.from=2025-02-06", "clock.to=2025-02-08")
    assert_refused(
        evenkeel(home, "run", "--config", "config/replay.yaml", *late), 3, "the first bar closes at", "clock.from"
    )
    assert state(home) == {}


# ---------------------------------------------------------------- homes


def test_a_second_instance_is_told_and_the_first_goes_on(calm, tmp_path: Path) -> None:
    """Exit 75 in a second or so, with the pid; the first one ends as if it had been alone."""
    home = tmp_path / "home"
    with running(home, "run", *SMALL, *sets("clock.speed=30000"), "--json") as first:
        until(lambda: state(home), what="the first instance begins")

        began = time.monotonic()
        second = evenkeel(home, "run", *SMALL)

        assert time.monotonic() - began < 5
        assert_refused(second, 75, f"pid {first.pid}", "--home")
        out, err = first.communicate(timeout=300)
        assert first.returncode == 0, err
    found = json.loads(out)
    for name in ("orders_sha256", "journal_sha256", "state_sha256", "slots"):
        assert found[name] == calm[name], name


@pytest.mark.slow
def test_sigterm_in_a_replay_ends_it_well(tmp_path: Path) -> None:
    """Exit 0 within seconds; the next start goes on where it stood."""
    home = tmp_path / "home"
    with running(home, "run", *SMALL, *sets("clock.speed=20000"), "--json") as process:
        until(lambda: len(state(home).get("memory", {}).get("slots", [])) > 3, what="a few slots")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=300)
        assert (process.returncode, "Traceback" in err) == (0, False), err
        assert time.monotonic() - began < 5
    some = json.loads(out)["slots"]["risk"]["done"]
    assert 0 < some < 192

    assert document(evenkeel(home, "run", *SMALL, "--json"))["slots"]["risk"]["done"] == 192


def _sealed(home: Path, change) -> None:
    """state.json with a changed text and a digest that matches it again."""
    path = home / "state" / "state.json"
    raw = change(path.read_bytes())
    blank = re.sub(rb'"sha256": "[0-9a-f]{64}"', b'"sha256": "' + b"0" * 64 + b'"', raw, count=1)
    path.write_bytes(blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1))


def test_a_newer_schema_is_refused_untouched(home: Path) -> None:
    """Exit 3; not one byte of the state changes."""
    _sealed(home, lambda raw: raw.replace(b'"schema": 1,', b'"schema": 9,', 1))
    before = _remembered(home)

    assert_refused(evenkeel(home, "run", *SMALL), 3, "state.json has schema 9", "install the newer evenkeel")

    assert _remembered(home) == before


def test_a_real_clock_state_is_never_touched_by_a_virtual_run(home: Path) -> None:
    """Identity differs: exit 3, untouched."""
    _sealed(home, lambda raw: re.sub(rb'"clock": ?"virtual"', b'"clock":"real"', raw, count=1))
    before = _remembered(home)

    assert_refused(evenkeel(home, "run", *SMALL), 3, "belongs to", "real clock", "--home")

    assert _remembered(home) == before


@pytest.mark.slow
def test_another_virtual_run_is_set_aside_whole(home: Path) -> None:
    """Another window: the earlier run moves to the archive, paper account and all, and a new one begins."""
    before = (home / "state" / "state.json").read_bytes()

    document(evenkeel(home, "run", *SMALL, *sets("clock.to=2025-02-11"), "--json"))

    (aside,) = (home / "state" / "archive").iterdir()
    assert (aside / "state.json").read_bytes() == before
    assert (aside / "paper.db").exists()
    assert (aside / "journal.db").exists()


def _remembered(home: Path) -> dict[str, bytes]:
    """Everything durable in the state folder."""
    volatile = ("lock", "heartbeat")
    return {name: raw for name, raw in tree(home / "state").items() if name not in volatile}


# ---------------------------------------------------------------- disks


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small tmpfs on a folder; skips where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no mount allowed here ({made.stderr.strip()}): the file seam is tried instead, see below")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_read_only_disk_is_one_sentence(half_run: Path, tmp_path: Path, capsys) -> None:
    """A real read-only mount: exit 3, nothing changed; `status` still answers."""
    home = tmp_path / "home"
    with mounted(home, "size=16m"):
        subprocess.run(["cp", "-a", f"{half_run}/.", home], check=True)
        before = _remembered(home)
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)

        assert_refused(evenkeel(home, "run", *SMALL), 3, "Read-only file system", "make the folder writable")

        assert _remembered(home) == before
        assert document(evenkeel(home, "status", "--json"))
    with capsys.disabled():
        sys.stdout.write("\nread-only: a tmpfs remounted ro")


@pytest.mark.parametrize("kilobytes", [24, 200, 700, 1_200] if FULL else [24, 700])
def test_a_full_disk_is_one_sentence_and_costs_nothing(calm, tmp_path: Path, kilobytes: int, capsys) -> None:
    """A real small mount runs full: exit 3 with one sentence; with more room the run ends as an undisturbed one."""
    home = tmp_path / "home"
    with mounted(home, f"size={kilobytes}k"):
        full = evenkeel(home, "run", *SMALL)
        refused_after_progress(full, kilobytes)
        subprocess.run(["mount", "-o", "remount,size=64m", home], check=True)
        found = document(evenkeel(home, "run", *SMALL, "--json"))
    for name in ("orders_sha256", "slots", "journal_sha256", "state_sha256"):
        assert found[name] == calm[name], name
    with capsys.disabled():
        sys.stdout.write(f"\nfull disk: a tmpfs of {kilobytes} kB")


def refused_after_progress(done: subprocess.CompletedProcess[str], kilobytes: int) -> None:
    """Like `refused`, with lines of progress before the sentence."""
    told = done.stderr.strip().splitlines()
    assert done.returncode == 3, f"{kilobytes} kB: exit {done.returncode}: {done.stderr}"
    assert "Traceback" not in done.stderr
    assert [line for line in told if not line.startswith("replay: ")] == told[-1:], told
    assert told[-1].startswith("evenkeel: "), told
    assert "space" in told[-1] or "full" in told[-1], told


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("step", range(5))
def test_at_the_file_seam_a_refused_write_changes_nothing(tmp_path: Path, error: int, step: int) -> None:
    """The same by FaultyDisk, whatever mounts are allowed: memory stays what it was, the sentence says what to do."""
    identity = world.memory().identity
    before = Store.open(tmp_path, identity, now=lambda: START).begin(world.memory())
    disk = FaultyDisk(RealDisk(), fail_at=1 + step, error=error, stuck=True)  # step 0 clears an old temporary file
    store = Store.open(tmp_path, identity, now=lambda: START, disk=disk)
    store.load()

    with pytest.raises(StateError, match="free space or make the folder writable"):
        store.commit(lambda m: m)

    assert store.memory == before
    assert Store.open(tmp_path, identity, now=lambda: START).load().memory is not None


def test_a_log_on_a_full_disk_prints_no_traceback(tmp_path: Path, capsys) -> None:
    """Lines are dropped and counted."""
    from evenkeel.service.log import open_log

    with mounted(tmp_path / "home", "size=64k"):
        out = open_log(tmp_path / "home", level="info", rotate_mb=50, keep=1, bound={"mode": "test"})
        for _ in range(200):
            out.info("something", text="x" * 1_000)
        path = tmp_path / "home" / "logs" / "evenkeel.jsonl"
        os.truncate(path, 0)
        out.info("at last")
        told = [json.loads(line)["event"] for line in path.read_text().splitlines() if line.startswith("{")]
    assert told == ["log_lines_lost", "at last"] or "log_lines_lost" in told, told
    assert "Traceback" not in capsys.readouterr().err


def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    """`--home README.md`."""
    (tmp_path / "home").write_text("no folder")

    assert_refused(evenkeel(tmp_path / "home", "run", *SMALL), 3, "Not a directory")


@pytest.mark.slow
def test_stdout_closed_early_is_no_traceback(tmp_path: Path) -> None:
    """`evenkeel ... | head -0`."""
    line = f"{sys.executable} -m evenkeel --home {tmp_path} config schema | head -c 0"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr


def test_the_log_of_a_run_has_what_was_promised(half_run: Path) -> None:
    """Every line says when, how important, what, in which mode and by which configuration."""
    for line in log(half_run):
        assert line.keys() >= {"wall", "level", "event", "mode", "config"}
