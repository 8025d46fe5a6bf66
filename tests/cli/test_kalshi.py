"""`kalshi ...` on the computer's clock against a served sandbox: what it shows, writes and refuses."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest

from desk.world import EAGER
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.sandbox import kalshi_keys
from evenkeel.sandbox.app import build
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.market import Market
from evenkeel.store import Lock
from research import kalshi_files as files
from venues.exchanges import PAIRS

SERIES = EAGER.screen.series


@pytest.fixture(scope="module")
def box():
    """A sandbox of now: four days of market behind it."""
    begin = (int(time.time()) // 86_400 - 4) * 86_400
    panel = market(tuple(PAIRS.values()), begin, begin + 6 * 86_400, 900, SyntheticSettings(seed=7))
    made = build(Market(panel, PAIRS), Clock(time.time), Faults(()), seed=7, capital=Decimal(100))
    with made.serve() as url:
        yield url, made


@pytest.fixture
def desk(run, tmp_path, box):
    """Run `kalshi ...` in a home of its own against the sandbox."""
    url, _ = box
    given = ["--set", f"kalshi.url={url}/kalshi/trade-api/v2", "--set", f"feed.hosts=[{url}/binance/api/v3]"]

    def command(name, *words):
        return run(tmp_path, "kalshi", name, *words, *given)

    return command


def test_scan_shows_every_market_with_its_fair_value_and_why_it_is_not_bought(desk):
    told = desk("scan", "--series", "KXBTCD,KXETHD,KXHIGHNY", "--json").json
    named = {row["series"]: row["said"] for row in told["series"]}

    assert {row["ticker"].partition("-")[0] for row in told["markets"]} <= {"KXBTCD", "KXETHD"}
    assert len(told["markets"]) >= 11
    assert all(row["why"] for row in told["markets"])
    assert any(row["fair"] is not None and 0 < row["fair"] < 1 for row in told["markets"])
    assert told["proposals"] == []
    assert named == dict.fromkeys(("KXBTCD", "KXETHD"), "not traded: 0 of 300 settled events were measured")
    assert told["refused"] == {"KXHIGHNY": "no fitted model speaks for it"}


def test_scan_of_one_market_and_as_a_table(desk):
    ticker = desk("scan", "--series", "KXBTCD", "--json").json["markets"][0]["ticker"]
    one = desk("scan", "--tickers", ticker, "--json").json
    table = desk("scan", "--series", "KXBTCD", "--rows", "3")

    assert [row["ticker"] for row in one["markets"]] == [ticker]
    assert table.out.splitlines()[0].split()[:4] == ["market", "left", "bid", "ask"]
    assert "KXBTCD: lognormal, not traded" in table.out


def test_paper_writes_its_three_files_and_status_agrees(desk, run, tmp_path):
    first = desk("paper", "--once", "--bankroll", "250", "--json").json
    time.sleep(1.1)
    again = desk("paper", "--once", "--bankroll", "999", "--json").json
    status = run(tmp_path, "kalshi", "status", "--json").json
    assert (status["healthy"], status["problems"]) == (True, [])
    book = json.loads((tmp_path / "data" / "paper" / "book.json").read_text())

    assert (first["cash"], again["cash"], status["cash"]) == ("250", "250", "250")
    assert again["turns"] == {"done": 2}
    assert {k: v for k, v in status.items() if k not in ("command", "pid", "healthy", "problems")} == {
        k: v for k, v in again.items() if k != "command"
    }
    assert book | {"updated_at": ""} == {
        "unit": "USD", "cash": 250.0, "positions": {}, "realized_pnl": 0.0, "updated_at": "",
    }  # fmt: skip
    assert (tmp_path / "data" / "paper" / "equity.csv").read_text().count("\n") == 3
    assert (tmp_path / "data" / "paper" / "trades.csv").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["paper", "--series", "KXHIGHNY", "--once"], 3, "KXHIGHNY: no fitted model speaks for it"),
        (["scan", "--series", "KXHIGHNY"], 3, "KXHIGHNY: no fitted model speaks for it"),
        (["paper", "--once", "--for", "1h"], 2, "--once runs one turn"),
        (["paper", "--once", "--interval", "soon"], 2, "--interval 'soon' is not a duration"),
        (["paper", "--once", "--min-edge", "2"], 2, "kalshi.stake.min_edge"),
        (["paper", "--once", "--side", "maybe"], 2, "kalshi.stake.side"),
        (["paper", "--tickers", "A-1", "--series", "KXBTC"], 2, "A-1 is of none of the series"),
        (["paper", "--stream"], 2, "Kalshi's stream takes nobody without a key"),
        (["paper", "--once", "--set", "kalshi.critic=llm"], 2, "ANTHROPIC_API_KEY is not set"),
        (["status"], 3, "no desk has run in this home"),
        (["run", "--once"], 2, "dry_run is true"),
        (["run", "--once", "--set", "dry_run=false"], 2, "KALSHI_KEY_ID and KALSHI_PRIVATE_KEY is not set"),
    ],
)
def test_a_mistake_gets_one_sentence(run, tmp_path, box, monkeypatch, words, code, said):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    given = [] if words[0] == "status" else ["--set", f"kalshi.url={box[0]}/kalshi/trade-api/v2"]
    done = run(tmp_path, "kalshi", *words, *given)

    assert (done.code, said in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_a_second_desk_is_told(desk, tmp_path):
    with Lock(tmp_path, "kalshi.lock"):
        done = desk("paper", "--once")

    assert done.code == 75


def test_live_needs_all_three_locks_and_then_trades_at_the_account(desk, tmp_path, monkeypatch):
    """Keys without the word are refused, a wrong key is told; then a turn, whose state is not a paper desk's."""
    pem = tmp_path / "key.pem"
    pem.write_text(kalshi_keys.pem(7))
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_FILE", str(pem))
    monkeypatch.setenv("KALSHI_KEY_ID", "somebody-else")
    live = ["run", "--once", "--set", "dry_run=false", "--json"]

    locked = desk(*live)
    monkeypatch.setenv("EVENKEEL_LIVE", "I-understand")
    stranger = desk(*live)
    monkeypatch.setenv("KALSHI_KEY_ID", kalshi_keys.key_id(7))
    done = desk(*live)
    paper = desk("paper", "--once")

    assert (locked.code, "EVENKEEL_LIVE is not I-understand" in locked.err) == (2, True)
    assert (stranger.code, "the account cannot be read" in stranger.err) == (3, True)
    assert done.code == 0, done.err
    assert (done.code, done.json["venue"], Decimal(done.json["cash"])) == (0, "kalshi", 100)
    assert (paper.code, "belongs to kalshi/" in paper.err) == (3, True)
    written = (tmp_path / "logs" / "kalshi.jsonl").read_text() + (tmp_path / "state" / "kalshi.json").read_text()
    assert kalshi_keys.key_id(7) not in written
    assert "PRIVATE KEY" not in written


def test_collect_keeps_a_look_and_says_where(desk, tmp_path):
    told = desk("collect", "--series", "KXBTC", "--once", "--json").json

    assert told["quotes"] > 5
    assert (tmp_path / "data" / "kalshi" / "KXBTC.parquet").exists()
    assert [row["rows"] for row in told["files"]] == [told["quotes"]]


@pytest.mark.slow
def test_a_desk_that_trains_misses_no_turn_and_promotes_nothing(desk, tmp_path):
    """Meanwhile its lognormal is measured anew on settled ladders; what decides stays what it was."""
    data = files.ladders(tmp_path)
    given = ["--set", "kalshi.training.every=2", "--set", f"kalshi.training.data={data}"]
    told = desk("paper", "--interval", "1", "--for", "30", *given, "--json")

    logged = [json.loads(line) for line in (tmp_path / "logs" / "kalshi.jsonl").read_text().splitlines()]
    made = [row for row in logged if row["event"] == "training_done"]
    assert told.code == 0, told.err
    assert made
    assert made[0]["evidence"]["KXBTC"]["earns"] is False
    assert (tmp_path / "models" / "kalshi" / made[0]["version"] / "lognormal.json").is_file()
    assert not (tmp_path / "models" / "kalshi" / "CURRENT").exists()
    assert not [row for row in logged if row["event"] == "training_failed"]
    assert told.json["turns"]["done"] > 5


def test_an_error_that_nobody_foresaw_is_one_sentence_and_its_traceback_is_in_the_file(desk, tmp_path, monkeypatch):
    """Exit 1 with --once; the next turn is as if nothing had been."""
    with monkeypatch.context() as patch:
        patch.setattr("evenkeel.desk.turn.decide", lambda *_: {}["a bug of ours"])
        done = desk("paper", "--once")
    time.sleep(1.1)
    again = desk("paper", "--once", "--json")
    written = (tmp_path / "logs" / "kalshi.jsonl").read_text()

    assert done.code == 1
    assert "failed (KeyError; logs/kalshi.jsonl says more)" in done.err
    assert "Traceback" not in done.err + done.out
    assert "Traceback" in written
    assert "a bug of ours" in written
    assert (again.code, again.json["turns"]) == (0, {"failed": 1, "done": 1})
