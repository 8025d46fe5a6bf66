"""Whatever becomes of the tracker, the one who tracks is neither stopped nor told an exception."""

import os
import subprocess
import sys
import time

import orjson
import pytest

from evenkeel.research.tracking import Tracker, TrackingSettings, local_store, serve

SETTINGS = TrackingSettings("http://127.0.0.1:9", patience_s=1.0)


def used(command, settings=SETTINGS, events=5):
    began = time.monotonic()
    tracker = Tracker(settings, command)
    tracker.params({"seed": 7})
    for step in range(events):
        tracker.metrics({"ic": 0.01 * step, "t": float("nan")}, step)
    return tracker.close(), time.monotonic() - began


def test_no_tracker_is_said():
    assert used(("unused",), None)[0] == "off"


def test_a_tracker_that_cannot_start_is_said():
    assert "could not be started" in used(("/no/such/program",))[0]


def test_a_tracker_that_fails_says_its_last_line():
    word, _ = used((sys.executable, "-c", "raise SystemExit('connection refused')"))

    assert word == "connection refused"


def test_a_tracker_that_hangs_costs_its_patience():
    word, took = used(("sleep", "60"))

    assert "did not answer within 1 s" in word
    assert took < 5


def test_a_tracker_that_reads_nothing_never_blocks():
    word, took = used(("sleep", "60"), events=20_000)

    assert "did not answer" in word
    assert took < 10


def test_a_tracker_that_listens_is_ok(tmp_path):
    target = tmp_path / "events"

    word, _ = used(("/bin/sh", "-c", f"cat > {target}"))

    assert word == "ok"
    lines = target.read_bytes().splitlines()
    assert len(lines) == 7
    assert b'"t":null' in lines[-1]


@pytest.mark.slow
def test_a_run_is_kept_in_the_local_store(tmp_path):
    """The real MLflow, on SQLite; a process of its own, because it changes the interpreter."""
    pytest.importorskip("mlflow", reason="tracking needs mlflow-skinny of the [train] extra")
    settings = TrackingSettings(local_store(tmp_path), patience_s=90.0)
    command = (sys.executable, "-m", "evenkeel.research.tracking")

    assert used(command, settings)[0] == "ok"

    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]);"
        "print(mlflow.MlflowClient().search_runs(['1'])[0].data.metrics['ic'])"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code, settings.uri], capture_output=True, text=True, check=True, env=os.environ
    )
    assert float(asked.stdout) == 0.04


def test_what_it_is_sent_is_what_mlflow_gets(monkeypatch):
    calls = []

    class Run:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    class Fake:
        def __getattr__(self, name):
            return lambda *a, **k: (calls.append((name, a, k)), Run())[1]

    monkeypatch.setitem(sys.modules, "mlflow", Fake())

    serve(
        [b'{"uri":"http://x","experiment":"e"}', b'{"params":{"a":"1"}}', b'{"metrics":{"ic":1.0,"t":null},"step":3}']
    )

    assert ("log_metrics", ({"ic": 1.0},), {"step": 3}) in calls
    assert ("log_params", ({"a": "1"},), {}) in calls


def test_several_experiments_are_written_down_side_by_side(monkeypatch):
    """A run of each, gone back to by its id."""
    calls = []

    class Run:
        def __init__(self, name):
            self.info = type("Info", (), {"run_id": name})

        def __enter__(self):
            return self

        def __exit__(self, *_):
            calls.append(("end", self.info.run_id))
            return False

    class Fake:
        def start_run(self, run_id=None):
            run = run_id or f"run{sum(call[0] == 'start' for call in calls)}"
            calls.append(("start", run))
            return Run(run)

        def __getattr__(self, name):
            return lambda *a, **k: calls.append((name, a, k))

    monkeypatch.setitem(sys.modules, "mlflow", Fake())
    sent = [{"params": {"a": "1"}}, *({"metrics": {"x": 1.0}, "step": 1, "experiment": e} for e in "abba")]

    serve([b'{"uri":"http://x","experiment":"a"}', *(orjson.dumps(one) for one in sent)])

    runs = [call for call in calls if call[0] in {"start", "end"}]
    assert runs == [
        ("start", "run0"), ("end", "run0"), ("start", "run1"), ("end", "run1"), ("start", "run0"), ("end", "run0")
    ]  # fmt: skip
    assert [call[1][0] for call in calls if call[0] == "set_experiment"] == ["a", "b", "a"]
