"""`data collect` against the sandbox's Binance, on the computer's clock."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from evenkeel import archive
from evenkeel.units import iso
from venues.exchanges import DAY, running

MINUTE = 60


@pytest.fixture(scope="module")
def exchange():
    with running(start=None, speed=1.0, begin=int(time.time()) // DAY * DAY - DAY // 2) as made:
        yield made


def words(exchange, *more):
    return ("data", "collect", "--host", exchange.binance, "--stream", exchange.stream, *more)


def test_closed_candles_lie_in_the_archive_and_collecting_again_goes_on(run, exchange, tmp_path):
    """Those that had closed before the start too; the second run adds what is new and doubles nothing."""
    since = int(time.time()) // MINUTE * MINUTE - 600
    asked = words(exchange, "--symbols", "BTCUSDT,ETHUSDT", "--since", iso(since), "--duration", "1s", "--json")
    first = run(tmp_path, *asked)
    again = run(tmp_path, *asked)

    assert first.code == again.code == 0, first.err
    assert first.json["symbols"].keys() == {"BTCUSDT", "ETHUSDT"}
    assert (first.json["command"], first.json["bar"], first.json["stopped"]) == ("data collect", "1m", False)
    assert again.json["rows"] <= 4
    rows = archive.read(tmp_path, "binance", MINUTE, "BTCUSDT")
    bars = exchange.market.bars("BTC", MINUTE, since, rows[-1, 0] + 1, exchange.market.end)
    np.testing.assert_array_equal(rows, np.array([bar[:6] for bar in bars]))
    assert len(rows) >= 10


def test_ctrl_c_ends_it_with_what_it_has(run, exchange, tmp_path):
    """Exit code 0, whole files, one sentence."""
    stored = tmp_path / "data" / "candles" / "minutes" / "1m" / "BTCUSDT.parquet"

    def interrupt():
        while not stored.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    since = iso(int(time.time()) // MINUTE * MINUTE - 300)
    done = run(tmp_path, *words(exchange, "--symbols", "BTCUSDT", "--source", "minutes", "--since", since))

    assert done.code == 0, done.err
    assert "ctrl-c ends" in done.err
    assert "new rows" in done.out
    assert len(archive.read(tmp_path, "minutes", MINUTE, "BTCUSDT")) >= 5
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--symbols", "BTC-USD", "--exchange", "coinbase"), "use binance"),
        (("--symbols", " , "), "names nothing"),
        (("--symbols", "BTCUSDT", "--until", "2025-01-01", "--duration", "1h"), "give one"),
        (("--symbols", "BTCUSDT", "--until", "soon"), "no time"),
        (("--symbols", "BTCUSDT", "--duration", "long"), "--duration"),
        (("--symbols", "BTCUSDT", "--bar", "x"), "--bar"),
        (("--symbols", "BTCUSDT", "--bar", "7m"), "no 7m candles"),
    ],
)
def test_mistakes_are_one_sentence(run, exchange, tmp_path, more, said):
    given = ("--since", "2025-01-01", "--duration", "1s") if "--bar" in more else ()
    stream = () if "--exchange" in more else ("--stream", exchange.stream)
    done = run(tmp_path, "data", "collect", "--host", exchange.binance, *stream, *more, *given)

    assert done.code == 2
    assert said in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_no_known_symbol_is_a_failure(run, exchange, tmp_path):
    since = iso(int(time.time()) - 600)
    done = run(tmp_path, *words(exchange, "--symbols", "NONEUSDT", "--since", since, "--duration", "5s", "--json"))

    assert done.code == 1
    assert list(done.json["skipped"]) == ["NONEUSDT"]
