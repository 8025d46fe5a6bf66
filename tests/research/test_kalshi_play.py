"""Bets on settled contracts: money adds up, fees are the venue's, files say what happened."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from evenkeel.events.calibration import Calibrated, fitted
from evenkeel.events.fair import Lognormal
from evenkeel.events.fees import TAKER, fee
from evenkeel.events.pipeline import StakeSettings
from evenkeel.events.stake import UNPROVEN
from evenkeel.research.kalshi import evidence, games, ladders, ledger, play
from research import kalshi_files as files

HUNDRED = Decimal(100)


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return games.read(*files.games(tmp_path_factory.mktemp("season"), count=200))


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    return ladders.read(files.ladders(tmp_path_factory.mktemp("ladders"), hours=60, noise=0.6))


def test_money_adds_up_and_each_bet_pays_one_dollar_or_nothing(season):
    account = play.play(play.of_quotes(season), play.extremes(Decimal(5), 0.3, 0.7), HUNDRED)
    by_ticker = dict(zip(season.ticker.tolist(), season.outcome.tolist(), strict=True))

    assert len(account.trades) > 40
    assert account.cash == HUNDRED + sum(one.pnl for one in account.trades)
    for one in account.trades:
        assert one.fee == fee(one.count, one.price, TAKER)
        assert one.cost + one.fee <= 5
        assert one.payout == (one.count if (by_ticker[one.ticker] == 1) == (one.side == "yes") else 0)


def test_cash_is_never_spent_twice(season):
    """With four dollars in all, a bet is made only when an earlier one came back."""
    account = play.play(play.of_quotes(season), play.extremes(Decimal(3)), Decimal(4))
    cash, open_ = Decimal(4), []
    for one in account.trades:
        cash += sum(back.payout for back in open_ if back.settled <= one.time)
        open_ = [back for back in open_ if back.settled > one.time]
        cash -= one.cost + one.fee
        open_.append(one)
        assert cash >= 0


def test_what_is_bought_does_not_know_the_outcome(season):
    """The same season with every outcome turned round: the same bets."""
    turned = replace(season, outcome=1 - season.outcome)
    rule = play.extremes(Decimal(1), 0.3, 0.7)
    one, other = (play.play(play.of_quotes(rows), rule, Decimal(10_000)) for rows in (season, turned))

    assert [(x.ticker, x.side, x.count) for x in one.trades] == [(x.ticker, x.side, x.count) for x in other.trades]
    assert [x.won for x in one.trades] == [not x.won for x in other.trades]


def test_the_desk_without_skill_buys_nothing_and_believing_it_does(captures):
    """Quotes are off by a planted error: a believed lognormal finds them; unproven skill refuses."""
    desk = play.desk(Lognormal(), lambda _: UNPROVEN, StakeSettings())
    believed = play.desk(Lognormal(), lambda _: play.BELIEVED, StakeSettings())

    refused, bought = (play.play(play.of_captures(captures), choose, HUNDRED) for choose in (desk, believed))

    assert refused.trades == []
    assert len(bought.trades) > 5
    assert len({one.event for one in bought.trades}) == len({(one.event, one.time) for one in bought.trades}) > 10
    assert all(one.cost + one.fee <= Decimal("0.03") * 200 for one in bought.trades)


def test_a_planted_edge_is_measured_and_a_fair_market_is_not(tmp_path):
    """A crowd with a wrong spot: the lognormal beats it, k near 1; a right crowd is not beaten."""
    wrong = ladders.read(files.ladders(tmp_path, hours=150, noise=1.0))
    found = evidence.judge(wrong.fair(Lognormal()), wrong.quotes, 7)
    fair = ladders.read(files.ladders(tmp_path, hours=60, noise=0.0))
    none = evidence.judge(fair.fair(Lognormal()), fair.quotes, 7)

    assert found.words.startswith("the model beats the market price")
    assert found.worth[0].skill.k == pytest.approx(1, abs=0.3)
    assert not found.worth[0].earns
    assert "of which 300 are needed: the desk refuses it" in found.worth[0].words
    assert not none.words.startswith("the model beats")


def test_a_flat_stake_is_what_was_asked_for(captures):
    choose = play.flat(play.desk(Lognormal(), lambda _: play.BELIEVED, StakeSettings(kelly=1.0, event=1.0, market=1.0)),
                       Decimal(7))  # fmt: skip
    account = play.play(play.of_captures(captures), choose, Decimal(1_000), most=6)
    spent = {}
    for one in account.trades:
        spent[one.event] = spent.get(one.event, 0) + one.cost + one.fee

    assert len(account.trades) == 6
    assert all(Decimal(5) < usd <= 7 for usd in list(spent.values())[:-1])


def test_remembered_answers_are_those_of_the_model(season):
    curve = fitted(season.mid, season.outcome, np.ones(len(season.time)))
    model = Calibrated("calibration", frozenset({"KXNBAGAME"}), (0.0, 86_400.0), (curve,))
    known = play.remembered(model, season)

    for moment in list(play.of_quotes(season))[:10]:
        asked, told = model(moment.board, {}), known(moment.board, {})
        assert np.array_equal(asked.p, told.p, equal_nan=True)
        assert np.array_equal(asked.error, told.error, equal_nan=True)
    assert play.said(model, season)[0] == pytest.approx(curve.at(season.mid)[0], abs=1e-12, nan_ok=True)


def test_the_files_have_the_seeds_form_and_agree_with_each_other(season, tmp_path):
    account = play.play(play.of_quotes(season), play.extremes(Decimal(5), 0.3, 0.7), HUNDRED)
    ledger.write(tmp_path, account, HUNDRED)
    trades, equity = (
        list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        for name in ("backtest_trades.csv", "backtest_equity.csv")
    )
    book = json.loads((tmp_path / "backtest_book.json").read_text())

    assert ",".join(trades[0]) == "timestamp,market_ticker,action,side,price,qty,cost,fee,result,payout,pnl"
    assert {row["action"] for row in trades} == {"BET_YES", "BET_NO"}
    assert all(Decimal(r["pnl"]) == Decimal(r["payout"]) - Decimal(r["cost"]) - Decimal(r["fee"]) for r in trades)
    assert all(Decimal(r["cost"]) == Decimal(r["price"]) * Decimal(r["qty"]) for r in trades)
    assert all((Decimal(r["payout"]) > 0) == (r["result"] == r["side"]) for r in trades)
    assert list(equity[0]) == ["timestamp", "cash"]
    assert len(equity) == len(trades) == book["bets"]
    total = sum(Decimal(r["pnl"]) for r in trades)
    assert book["unit"] == "USD"
    assert book["total_pnl"] == pytest.approx(float(total))
    assert book["roi"] == pytest.approx(float(total) / 100)
    assert float(equity[-1]["cash"]) == pytest.approx(100 + float(total))
    assert book["win_rate"] == sum(Decimal(r["payout"]) > 0 for r in trades) / len(trades)


def test_the_drawdown_is_the_deepest_fall_of_what_settled(season):
    account = play.play(play.of_quotes(season), play.extremes(Decimal(5), 0.3, 0.7), HUNDRED)
    path = np.cumsum([100.0, *(float(one.pnl) for one in sorted(account.trades, key=lambda x: (x.settled, x.ticker)))])
    deepest = max((path[: i + 1].max() - path[i]) / path[: i + 1].max() for i in range(len(path)))

    assert ledger.book(account, HUNDRED)["max_drawdown"] == pytest.approx(deepest)


def test_nothing_bet_has_no_win_rate(tmp_path):
    book = ledger.write(tmp_path, play.Account(HUNDRED), HUNDRED)

    assert (book["win_rate"], book["total_pnl"], book["bets"]) == (None, 0, 0)
    assert (tmp_path / "backtest_equity.csv").read_text() == "timestamp,cash\n"
