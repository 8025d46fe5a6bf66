"""A training beside the service: niced, one at a time, logged, ended with the service, and never in a slot's way."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time

import pytest

from cli.fitted import candles
from e2e.program import assert_refused, evenkeel, log, sets, state, until
from evenkeel import artifacts
from evenkeel.config import Config
from evenkeel.config.kalshi import KalshiTraining
from evenkeel.service import child, retraining
from service.test_realtime import Exchange, assert_sound, service, slots, stopped

DONE = {
    "version": "v3", "digest": "ab", "seconds": 2.0, "peak_rss_mb": 9, "path": "x",
    "evidence": {"1h": {"ic": 0.1, "ic_t": 2.0, "icir": 0.3}},
}  # fmt: skip


class Log:
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def info(self, event, **fields):
        """Take one line."""
        self.lines.append((event, fields))

    warning = info


def trained(code, stop=None):
    """Run a program in the place of the training, and say what was logged after the start."""
    told = Log()
    retraining.train([sys.executable, "-c", code], told, stop or threading.Event())
    assert told.lines[0][0] == "training_started"
    return told.lines[1:]


def test_what_was_trained_is_logged():
    found = trained(f"print({json.dumps(DONE)!r})")

    assert found == [
        (
            "training_done",
            {
                "version": "v3",
                "digest": "ab",
                "seconds": 2.0,
                "peak_rss_mb": 9,
                "evidence": {"1h": {"ic": 0.1, "ic_t": 2.0}},
            },
        )
    ]


def test_of_contracts_the_skill_on_each_series_is_logged():
    worth = {"KXBTC": {"events": 166, "k": -0.1, "error": 0.2, "earns": False, "words": "none"}}
    found = trained(f"print({json.dumps({'version': 'v2', 'digest': 'cd', 'seconds': 1.0, 'worth': worth})!r})")

    evidence = {"KXBTC": {"events": 166, "k": -0.1, "earns": False}}
    told = {"version": "v2", "digest": "cd", "seconds": 1.0, "evidence": evidence}
    assert found == [("training_done", told)]


def test_what_went_wrong_is_logged_in_its_own_sentence():
    found = trained(
        "import sys; sys.stderr.write('noise' * 100_000 + '\\nevenkeel: too little history\\n'); sys.exit(3)"
    )

    assert found == [("training_failed", {"code": 3, "error": "evenkeel: too little history"})]


def test_what_cannot_begin_is_logged():
    told = Log()

    retraining.train(["/no/such/program"], told, threading.Event())

    assert told.lines[0][0] == "training_failed"


def test_it_is_nice():
    """The child runs at the lowest priority from its beginning on."""
    code = f"import os, time; time.sleep(0.5); print({json.dumps(DONE)!r}.replace('v3', str(os.nice(0))))"

    assert trained(code)[0][1]["version"] == "19"


@pytest.mark.parametrize("deaf", [False, True])
def test_it_ends_when_the_service_does(deaf, monkeypatch):
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN if {} else signal.SIG_DFL); time.sleep(60)"
    )
    began = time.monotonic()

    found = trained(code.format(deaf), stop)

    assert time.monotonic() - began < 5
    assert [event for event, _ in found] == ["training_stopped"]


def test_the_command_is_that_of_a_person(tmp_path):
    """Files lie in the home unless they say otherwise; the run's configuration goes along."""
    words = retraining.command(tmp_path, ("data/a.parquet", "/b.parquet"), 5, tmp_path / "state" / "config.json")

    assert words[1:6] == ["-m", "evenkeel", "--home", str(tmp_path), "train"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "--data"] == [
        str(tmp_path / "data" / "a.parquet"),
        "/b.parquet",
    ]
    assert words[words.index("--config") + 1] == str(tmp_path / "state" / "config.json")
    assert words[-1] == "--json"


def test_the_command_of_contracts_is_that_of_a_person(tmp_path):
    """A calibration has results beside its candles; files lie in the home unless they say otherwise."""
    words = retraining.command_of_contracts(tmp_path, "calibration", "data/games.parquet", "/ends.parquet")

    assert words[1:8] == ["-m", "evenkeel", "--home", str(tmp_path), "train", "kalshi", "--model"]
    assert words[words.index("--data") + 1] == str(tmp_path / "data" / "games.parquet")
    assert words[words.index("--results") + 1] == "/ends.parquet"
    assert "--results" not in retraining.command_of_contracts(tmp_path, "lognormal", "a.parquet", "")


def test_it_is_repeated_at_multiples_of_its_period_and_what_is_missed_is_left_out():
    class Stop(threading.Event):
        """Waits by moving the clock; is set after a thousand seconds."""

        def wait(self, timeout: float | None = None) -> bool:
            """Go there."""
            time_[0] += timeout
            return time_[0] >= 1_000

    def work():
        begun.append(time_[0])
        time_[0] += 250 if len(begun) == 2 else 3

    time_, begun = [70.0], []
    retraining.repeated(100, work, lambda: time_[0], Stop())

    assert begun == [100, 200, 500, 600, 700, 800, 900]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"every": 60}, "data is empty"),
        ({"every": 60, "data": "a.parquet", "model": "calibration"}, "results"),
        ({"every": 60, "data": "a.parquet", "results": "b.parquet"}, "results"),
    ],
)
def test_a_training_of_contracts_wants_its_files(given, why):
    assert Config().kalshi.training.every == 0

    with pytest.raises(ValueError, match=why):
        KalshiTraining(**given)


def test_it_is_off_unless_asked_for_and_wants_candles(tmp_path):
    assert Config().training.every == 0

    assert_refused(evenkeel(tmp_path, "config", "check", *sets("training.every=1d")), 2, "training", "data is empty")


@pytest.fixture
def exchange():
    """A fresh one."""
    with Exchange() as server:
        yield server


@pytest.mark.slow
def test_a_service_that_trains_misses_no_slot_and_promotes_nothing(exchange, tmp_path):
    """Every second a risk check, meanwhile models are made; a SIGTERM in the middle leaves no half of one."""
    pytest.importorskip("optuna", reason="training needs optuna of the [train] extra")
    home = tmp_path / "home"
    path = candles(tmp_path / "hours.parquet", 100)
    keys = ("training.every=3", f"training.data=[{path}]", "training.trials=1")

    with service(home, exchange, *keys) as process:
        events = until(lambda: [x for x in log(home) if x["event"] == "training_done"], what="a model is made")
        until(lambda: len([x for x in log(home) if x["event"] == "training_started"]) > 1, what="the next one begins")
        stopped(process, home)

    made = artifacts.read(home / "models" / "alpha" / events[0]["version"], "alpha")
    assert made.digest == events[0]["digest"]
    assert not (home / "models" / "alpha" / "CURRENT").exists()
    assert not [x for x in (home / "models" / "alpha").iterdir() if x.name.startswith(".")]
    assert not [x for x in log(home) if x["event"] in ("training_failed", "lane_failed")]
    risk = [row["time"] for row in slots(home) if row["kind"] == "risk" and row["outcome"] == "done"]
    assert max(b - a for a, b in itertools.pairwise(risk)) <= 3
    assert_sound(home)
    assert state(home)["memory"]["open_slots"] == []
