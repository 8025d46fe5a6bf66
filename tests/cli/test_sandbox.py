"""`sandbox`: what it prints is where it answers, and it ends when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import requests
from typer.testing import CliRunner

from evenkeel.cli import app
from evenkeel.errors import UsageError
from evenkeel.sandbox import roostoo

WORLD = ["--from", "2025-06-01", "--past", "2", "--days", "1", "--set", "universe.only=[BTC, ETH]", "--json"]


def test_it_answers_where_it_says_and_ends_on_ctrl_c(tmp_path):
    """One JSON document with addresses and keys that work, a plan of faults that strikes, exit 0."""
    plan = tmp_path / "faults.yaml"
    plan.write_text("- {kind: maintenance, path: '/coinbase/*'}\n")
    words = ["sandbox", "--port", "0", "--seed", "3", "--speed", "0", "--capital", "500.25", "--faults", str(plan)]
    command = [sys.executable, "-m", "evenkeel", "--home", str(tmp_path), *words, *WORLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        told = json.loads("".join(lines))
        time = requests.get(f"{told['roostoo']}/v3/serverTime", timeout=10).json()["ServerTime"]
        sent = {"timestamp": str(time)}
        headers = {"RST-API-KEY": told["key"], "MSG-SIGNATURE": roostoo.signature(told["secret"], sent)}
        wallet = requests.get(f"{told['roostoo']}/v3/balance", params=sent, headers=headers, timeout=10).json()
        bars = requests.get(f"{told['binance']}/klines", {"symbol": "BTCUSDT", "interval": "1h"}, timeout=10).json()
        closed = requests.get(f"{told['coinbase']}/products", timeout=10).status_code
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (process.returncode, said) == (0, "")
    assert time == 1_748_736_000_000
    assert wallet["SpotWallet"]["USD"]["Free"] == 500.25
    assert len(bars) == 49
    assert closed == 503
    assert (told["assets"], told["seed"], told["faults"], told["now"]) == (2, 3, 1, "2025-06-01T00:00:00Z")
    assert (told["from"], told["to"]) == ("2025-05-30T00:00:00Z", "2025-06-02T00:00:00Z")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--capital", "0"], "--capital 0"),
        (["--from", "soon"], "--from soon"),
        (["--speed", "-1"], "speed -1.0 is not a pace"),
        (["--port", "70000"], "port 70000"),
        (["--faults", "none.yaml"], "fault plan none.yaml"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(words, message, tmp_path):
    """Before anything is served."""
    done = CliRunner().invoke(app, ["--home", str(tmp_path), "sandbox", *WORLD, *words])

    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_a_dataset_is_played_from_where_it_has_bars(tmp_path):
    """A beginning outside of it is refused, and says which times there are."""
    import numpy as np

    from evenkeel import archive

    opens = 1_748_736_000 + 1_800 * np.arange(48)
    prices = np.full((48, 5), 100.0)
    archive.append(tmp_path, "mine", 1_800, "BTCUSDT", np.column_stack([opens, prices]))
    words = ["sandbox", "--source", "mine", "--bar", "30m", "--port", "0"]
    late = CliRunner().invoke(app, ["--home", str(tmp_path), *words, "--from", "2025-06-03"])
    odd = CliRunner().invoke(app, ["--home", str(tmp_path), *words, "--from", "2025-06-01", "--bar", "soon"])

    assert "2025-06-01T00:00:00Z .. 2025-06-02T00:00:00Z only: choose --from within" in str(late.exception)
    assert "--bar" in str(odd.exception)
