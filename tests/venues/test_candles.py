"""Public candles against a loopback server in Binance's shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from evenkeel import archive
from evenkeel.errors import DataError, FeedError
from evenkeel.units import utc
from evenkeel.venues.candles import CandleSource

BAR = 1800
START = utc("2025-07-01")
NOW = utc("2025-08-05T10:17:00") + 0.5
CLOSED_END = utc("2025-08-05T10:00:00")


def _server_module() -> ModuleType:
    name = "evenkeel_test_binance_server"
    if name not in sys.modules:
        spec = spec_from_file_location(name, Path(__file__).with_name("binance_server.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


binance = _server_module()


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now: float) -> None:
        self.now, self.slept = now, []

    def __call__(self) -> float:
        """UTC s now."""
        return self.now

    def sleep(self, wait_s: float) -> None:
        """Move on."""
        self.slept.append(wait_s)
        self.now += wait_s

    @property
    def waits(self) -> list[float]:
        """Waits that are more than pacing."""
        return [s for s in self.slept if s > 0.1]


@pytest.fixture
def server() -> Iterator[object]:
    with binance.BinanceServer(NOW, {"BTCUSDT": 0, "ETHUSDT": START + 20 * 86_400}) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def _source(server, clock, **more) -> CandleSource:
    hosts = more.pop("hosts", [server.url])
    return CandleSource("binance", hosts=hosts, sleep=clock.sleep, clock=clock, timeout_s=more.pop("timeout_s", 5.0))


def _download(source, home, symbols, since=START, until=CLOSED_END + 10 * BAR, on_progress=None):
    have = archive.spans(home, "binance", BAR)
    ranges = archive.plan_ranges(have, symbols, BAR, since, until)
    store = lambda symbol, rows: archive.append(home, "binance", BAR, symbol, rows)  # noqa: E731
    return source.download(ranges, BAR, store, on_progress)


def test_download_stores_every_closed_bar_and_never_the_open_one(server, clock, tmp_path):
    """All bars from the start to the last closed one lie on disk; the open bar that the server sends does not."""
    done = _download(_source(server, clock), tmp_path, ["BTCUSDT", "ETHUSDT"])

    btc, eth = (archive.read(tmp_path, "binance", BAR, symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
    assert btc[0, 0] == START
    assert btc[-1, 0] == CLOSED_END - BAR
    assert len(btc) == (CLOSED_END - START) // BAR == done.rows["BTCUSDT"]
    assert eth[0, 0] == START + 20 * 86_400
    assert btc[5, 1:] == pytest.approx([float(x) for x in server.kline("BTCUSDT", BAR, int(btc[5, 0]))[1:6]])


def test_download_twice_asks_almost_nothing_and_changes_nothing(server, clock, tmp_path):
    """A finished download resumes at its end."""
    _download(_source(server, clock), tmp_path, ["BTCUSDT"])
    before, asked = archive.read(tmp_path, "binance", BAR, "BTCUSDT"), server.count("klines")

    done = _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert done.rows == {"BTCUSDT": 0}
    assert server.count("klines") == asked
    assert np.array_equal(archive.read(tmp_path, "binance", BAR, "BTCUSDT"), before)


def test_download_resumes_after_the_newest_row_and_goes_back_to_an_earlier_start(server, clock, tmp_path):
    """Both ends grow; the result equals one download of the whole."""
    source = _source(server, clock)
    _download(source, tmp_path, ["BTCUSDT"], START + 86_400 * 9, START + 86_400 * 12)
    _download(source, tmp_path, ["BTCUSDT"], START, CLOSED_END)

    whole = tmp_path / "whole"
    _download(source, whole, ["BTCUSDT"], START, CLOSED_END)
    grown = archive.read(tmp_path, "binance", BAR, "BTCUSDT")
    assert np.array_equal(grown, archive.read(whole, "binance", BAR, "BTCUSDT"))


def test_interrupted_download_leaves_one_stretch(server, clock, tmp_path):
    """What an outage leaves behind is a whole beginning, and the next run completes it."""
    plan = archive.plan_ranges({}, ["BTCUSDT"], BAR, START, CLOSED_END)["BTCUSDT"]
    ranges = {"BTCUSDT": [(START, START + 480 * BAR), (START + 480 * BAR, plan[-1][1])]}
    kept: list[np.ndarray] = []
    source = _source(server, clock)
    source.symbols()

    def store(symbol, rows):
        kept.append(rows)
        archive.append(tmp_path, "binance", BAR, symbol, rows)
        server.faults["klines"] = [binance.status(503)] * 9

    with pytest.raises(FeedError, match="in 5 tries"):
        source.download(ranges, BAR, store)
    server.faults.clear()
    _download(source, tmp_path, ["BTCUSDT"])

    assert len(kept) == 1
    report = archive.check(tmp_path, "binance", BAR)
    assert (report.count("gap"), report.rows) == (0, (CLOSED_END - START) // BAR)


def test_a_gap_of_the_exchange_stays_a_gap(server, clock, tmp_path):
    """A bar that the exchange does not have is not made up, and paging goes on behind it."""
    server.gaps |= {("BTCUSDT", START + i * BAR) for i in range(100, 103)}

    _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert archive.check(tmp_path, "binance", BAR).symbols["BTCUSDT"].missing_bars == 3


def test_rate_limit_waits_as_long_as_told(server, clock, tmp_path):
    """429 with Retry-After is waited for and asked again."""
    server.faults["klines"] = [binance.status(429, retry_after=7), binance.status(418, retry_after=11)]

    done = _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert clock.waits == [7, 11]
    assert done.rows["BTCUSDT"] == (CLOSED_END - START) // BAR


def test_a_ban_longer_than_we_wait_is_told(server, clock, tmp_path):
    """418 for an hour ends the download with one sentence."""
    server.faults["klines"] = [binance.status(418, retry_after=3600)]

    with pytest.raises(FeedError, match="stay away for 3600 s"):
        _download(_source(server, clock), tmp_path, ["BTCUSDT"])


def test_rate_limit_for_ever_is_bounded(server, clock, tmp_path):
    """An exchange that says 429 without end is left after five tries."""
    server.faults["klines"] = [binance.status(429, retry_after=1)] * 50

    with pytest.raises(FeedError, match="in 5 tries"):
        _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert server.count("klines") == 5


def test_451_switches_to_the_mirror_once_and_says_so(server, clock, tmp_path):
    """A refused country is served by the data-only mirror."""
    with binance.BinanceServer(NOW, {}, blocked=True) as refusing:
        done = _download(_source(server, clock, hosts=[refusing.url, server.url]), tmp_path, ["BTCUSDT"])

        assert len(refusing.requests) == 1

    assert done.rows["BTCUSDT"] == (CLOSED_END - START) // BAR
    assert done.notes == (f"{refusing.url} refuses this place (HTTP 451): switched to {server.url}",)


def test_451_everywhere_names_the_way_out(server, clock, tmp_path):
    """If the mirror refuses too there is one sentence."""
    server.blocked = True

    with pytest.raises(FeedError, match="use another exchange"):
        _download(_source(server, clock), tmp_path, ["BTCUSDT"])


@pytest.mark.parametrize("fault", [binance.status(500), binance.status(503), binance.html(), (200, "[[1,", {})])
def test_passing_trouble_is_retried(server, clock, tmp_path, fault):
    """5xx, a proxy's page with 200 and a cut answer are asked again, with growing waits."""
    server.faults["klines"] = [fault, fault]

    done = _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert clock.waits == [1, 2]
    assert done.rows["BTCUSDT"] == (CLOSED_END - START) // BAR


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_hanging_answer_is_given_up_in_total_time(server, clock, tmp_path):
    """A server that says nothing costs one time-out and is asked again."""
    source = _source(server, clock, timeout_s=0.3)
    source.symbols()
    server.hang_s["klines"] = [0.8]

    done = _download(source, tmp_path, ["BTCUSDT"])

    assert done.rows["BTCUSDT"] == (CLOSED_END - START) // BAR
    assert clock.waits == [1]


def test_unknown_symbols_are_told_and_others_go_on(server, clock, tmp_path):
    """A name that is not listed and one that klines refuses (-1121) are skipped with a word."""
    server.listed["OLDUSDT"] = 0
    server.hidden.add("OLDUSDT")

    done = _download(_source(server, clock), tmp_path, ["NOPEUSDT", "OLDUSDT", "BTCUSDT"])

    assert set(done.skipped) == {"NOPEUSDT", "OLDUSDT"}
    assert done.rows["BTCUSDT"] > 0


def test_progress_grows_to_the_total(server, clock, tmp_path):
    """A progress bar never runs backwards and ends full, also where symbols are skipped or listed late."""
    seen: list[tuple[str, int, int]] = []

    _download(
        _source(server, clock), tmp_path, ["BTCUSDT", "NOPEUSDT", "ETHUSDT"], on_progress=lambda *a: seen.append(a)
    )

    done = [count for _, count, _ in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1][2] == 3 * ((CLOSED_END - START) // BAR + 10)


def test_our_wrong_clock_does_not_let_the_open_bar_in(server, clock, tmp_path):
    """The exchange's time decides what is closed, not a clock that runs an hour ahead."""
    clock.now += 3600

    _download(_source(server, clock), tmp_path, ["BTCUSDT"])

    assert archive.read(tmp_path, "binance", BAR, "BTCUSDT")[-1, 0] == CLOSED_END - BAR


def test_closed_bars_gives_the_newest_closed_rows(server, clock):
    """The live feed sees the last closed bars of each symbol and why others have none."""
    closed = _source(server, clock).closed_bars(["BTCUSDT", "NOPEUSDT"], BAR, 48)

    assert closed.rows["BTCUSDT"][:, 0].tolist() == list(range(CLOSED_END - 48 * BAR, CLOSED_END, BAR))
    assert set(closed.absent) == {"NOPEUSDT"}


def test_closed_bars_keeps_its_budget(server, clock):
    """When the time allowed is over, symbols that were not reached are told, not waited for."""
    source = _source(server, clock)
    source.closed_bars(["BTCUSDT"], BAR, 2)
    server.faults["klines"] = [(200, server._klines({"symbol": "BTCUSDT", "interval": "30m"})[1], {})]
    server.faults["klines"] += [binance.status(503)] * 20

    closed = source.closed_bars(["BTCUSDT", "ETHUSDT"], BAR, 2, budget_s=5.0)

    assert list(closed.rows) == ["BTCUSDT"]
    assert "in the time allowed" in closed.absent["ETHUSDT"]


def test_closed_bars_without_any_answer_is_a_feed_error(server, clock):
    """No bars at all is an error, never an empty market."""
    source = _source(server, clock)
    source.symbols()
    server.faults["klines"] = [binance.status(500)] * 30

    with pytest.raises(FeedError, match="gave no closed 30m bars"):
        source.closed_bars(["BTCUSDT", "ETHUSDT"], BAR, 2)


def test_best_bid_ask_is_one_request_for_all(server, clock):
    """Quotes of all symbols come at once; an unknown one is left out."""
    touches = _source(server, clock).best_bid_ask(["BTCUSDT", "ETHUSDT", "NOPEUSDT"])

    assert set(touches) == {"BTCUSDT", "ETHUSDT"}
    assert (touches["BTCUSDT"].bid, touches["BTCUSDT"].ask) == (99.5, 100.5)
    assert touches["BTCUSDT"].time == int(NOW)
    assert server.count("ticker/bookTicker") == 1


def test_best_bid_ask_survives_a_name_that_refuses_the_list(server, clock):
    """One bad name in the list does not cost the others their quote."""
    server.listed["OLDUSDT"] = 0
    server.hidden.add("OLDUSDT")

    assert set(_source(server, clock).best_bid_ask(["BTCUSDT", "OLDUSDT"])) == {"BTCUSDT"}


def test_spot_markets_only_are_asked_for(server, clock):
    """Futures hosts stay untouched: exchangeInfo of spot is the only listing."""
    assert _source(server, clock).symbols("USDT") == ("BTCUSDT", "ETHUSDT")
    assert {path for path, _ in server.requests} == {"exchangeInfo"}


def test_unknown_exchange_and_bar_are_refused_in_one_sentence(server, clock):
    """A wrong word of the user is a DataError, not a traceback of ccxt."""
    with pytest.raises(DataError, match="knows no exchange 'binanse'"):
        CandleSource("binanse").symbols()
    with pytest.raises(DataError, match="has no 7m candles"):
        _source(server, clock).closed_bars(["BTCUSDT"], 420, 2)


def test_importing_the_source_does_not_import_ccxt():
    """The library ccxt is loaded only when an exchange is asked."""
    code = "import sys, evenkeel.venues.candles as c; c.CandleSource(); sys.exit('ccxt' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
