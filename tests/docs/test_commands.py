"""Every command that the documentation shows is run here, or stands in a list that says why it cannot be."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evenkeel.cli import app

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
pages = sys.modules["evenkeel_test_pages"]

NOT_RUN = {
    "git clone": "needs the repository's address",
    "make": "would install and run this very test: `make -n` must know the target",
    "docker compose": "needs a daemon: the service and the file are checked",
    "systemctl": "needs systemd as init: the units are checked, and verified where systemd-analyze is there",
    "useradd": "adds a user to the machine",
    "python3 -m venv": "tests/config/test_packaging.py builds and unpacks the wheel instead",
    "evenkeel run --config config/rl.yaml": "a day on Coinbase: tests/service/test_rl.py runs it for seconds",
    "evenkeel sandbox": "serves until it is told to end: tests/cli/test_sandbox.py runs it",
    "/opt/evenkeel/bin/pip": "needs a package index: the files that it names must exist",
}
"""Beginning of a command that no test can run, and why."""

PLACES = {
    "/opt/evenkeel/bin/": f"{BIN}/",
    "/srv/evenkeel": "{root}/srv",
    "/var/backups": "{root}/backups",
    "/etc/systemd/system": "{root}/systemd",
    "/tmp/drill": "{root}/drill",
}
SHORTER = {"2025-08-01": "2025-07-03"}
"""Two days say as much of a command as a month."""
MAY_WARN = {"doctor"}
"""Commands that may end with 5: no model is shipped, and doctor says so."""


SEEN = set()
"""Words of commands that only read and have run before: on another page, in an equal home, they say the same."""
READS = {"status", "doctor", "logs", "config", "plan", "why"}


def runnable(line):
    return not any(" ".join(line.words).startswith(start) for start in NOT_RUN)


BLOCKS = [(page, list(lines)) for page, lines in itertools.groupby(pages.commands(), key=lambda line: line.page)]


QUICK = ("README.md", "DEPLOYMENT.md")


def _marked(page, lines):
    return pytest.param(page, lines, id=page, marks=() if page in QUICK else pytest.mark.slow)


@pytest.mark.parametrize(("page", "lines"), [_marked(page, lines) for page, lines in BLOCKS])
def test_the_commands_of_a_page_run_in_their_order(page, lines, world):
    """Each ends with 0 (doctor: or with 5, which it explains), and none with a traceback."""
    for line in lines:
        if not runnable(line) or tuple(line.words) in SEEN:
            continue
        if READS & set(line.words[:2]):
            SEEN.add(tuple(line.words))
        words = [moved(word, world.root) for word in line.words]
        if words == ["evenkeel", "run"]:
            live(world)
            continue
        more = (
            {"EVENKEEL__CLOCK__TO": "2025-07-03"}
            if words[:4] == ["evenkeel", "run", "--config", "config/replay.yaml"]
            else {}
        )
        done = world.run(without_owner(words), **more)

        allowed = {0, 5} if MAY_WARN & set(words) else {0}
        assert done.returncode in allowed, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def moved(word, root):
    word = SHORTER.get(word, word)
    for place, here in PLACES.items():
        word = word.replace(place, here.format(root=root))
    return word


def without_owner(words):
    """`install` without --owner and --group: there is no user evenkeel here."""
    skip = {i for i, word in enumerate(words) if word in ("--owner", "--group")}
    return [word for i, word in enumerate(words) if i not in skip and i - 1 not in skip]


def live(world):
    """`evenkeel run` against a loopback exchange: bars arrive, and SIGTERM ends it with 0 within ten seconds."""
    server = binance()
    now = time.time()
    coins = ("BTC", "ETH", "SOL")
    (world.root / "live").mkdir(exist_ok=True)
    with server.BinanceServer(now=now, listed={f"{coin}USDT": int(now) - 60 * 86_400 for coin in coins}) as exchange:
        port = exchange.http.server_address[1]
        environ = world.environ(
            EVENKEEL_HOME=str(world.root / "live"),
            EVENKEEL__FEED__HOSTS=f"['http://127.0.0.1:{port}/api/v3']",
            EVENKEEL__UNIVERSE__ONLY=f"[{', '.join(coins)}]",
            EVENKEEL__HISTORY__DAYS="20",
            EVENKEEL__KALSHI__URL="http://127.0.0.1:9",
        )
        stored = world.root / "live" / "data" / "candles" / "binance" / "30m" / "SOLUSDT.parquet"
        process = subprocess.Popen(
            ["evenkeel", "run"], cwd=world.work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 90
            while not stored.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert stored.exists(), said
    assert process.returncode == 0, said
    assert "Traceback" not in said


def binance():
    name, path = "evenkeel_test_binance_server_docs", ROOT / "tests" / "venues" / "binance_server.py"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.mark.parametrize("line", sorted({line.text: line for line in pages.inline()}.values(), key=str), ids=str)
def test_commands_in_running_text_are_understood(line):
    """Command and options exist: the same words with --help end with 0."""
    done = CliRunner().invoke(app, [*line.words[1:], "--help"])

    assert done.exit_code == 0, done.output


def test_every_command_that_is_not_run_is_one_that_cannot_be():
    """The list of exceptions holds nothing that no page shows."""
    shown = [" ".join(line.words) for line in pages.commands()]

    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in shown)] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("target", sorted({line.words[1] for line in pages.commands() if line.words[:1] == ["make"]}))
def test_make_knows_its_targets(target):
    """`make -n` prints what it would do, and `make run` would play the demo."""
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False, env=plain())

    assert done.returncode == 0, done.stderr
    assert target != "run" or "--home .demo run --config config/demo.yaml" in done.stdout


def plain():
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


def test_compose_has_the_service_that_the_pages_speak_of():
    """One service, read-only, without privileges, its volumes those that the image writes to."""
    import yaml

    service = yaml.safe_load(pages.text("compose.yaml"))["services"]["evenkeel"]
    image = pages.text("Dockerfile")

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(f"/srv/evenkeel/{name}" in image for name in ("state", "logs", "data"))
    assert {volume.split(":")[1] for volume in service["volumes"]} == {
        f"/srv/evenkeel/{name}" for name in ("config", "state", "logs", "data")
    }
    assert "USER evenkeel" in image
    assert '"status", "--check"' in image
    assert "torch" not in pages.text("requirements-base.txt").split("\n", 2)[2]


def test_files_that_pip_is_given_exist():
    """`-r FILE` of every pip command."""
    given = [line.words[line.words.index("-r") + 1] for line in pages.commands() if "-r" in line.words]

    assert given
    assert all((ROOT / path).is_file() for path in given)


def test_units_that_systemctl_is_given_exist():
    """Every unit name lies in deploy/."""
    named = {
        w
        for line in pages.commands()
        if line.words[0] == "systemctl"
        for w in line.words
        if w.endswith((".service", ".timer"))
    }

    assert named == {"evenkeel.service", "evenkeel-watchdog.timer"}
    assert all((ROOT / "deploy" / name).is_file() for name in named)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_units_are_sound(tmp_path):
    """systemd-analyze finds nothing, once the program's path is one that exists here."""
    for unit in (ROOT / "deploy").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/evenkeel/bin/evenkeel", shutil.which("true")))
    units = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line]


@pytest.mark.parametrize(("age_s", "restarts"), [(60, False), (1_260, True)])
def test_the_watchdog_restarts_what_stands_still(age_s, restarts, world):
    """Its condition holds where neither heartbeat nor start is younger than 20 minutes."""
    unit = (ROOT / "deploy" / "evenkeel-watchdog.service").read_text()
    script = re.search(r"ExecCondition=/bin/sh -c '(.*)'", unit)[1].replace("/srv/evenkeel", str(world.srv))
    then = time.time() - age_s
    for name in ("heartbeat", "lock"):
        os.utime(world.srv / "state" / name, (then, then))
    done = subprocess.run(["/bin/sh", "-c", script], check=False)

    assert (done.returncode == 0) is restarts
