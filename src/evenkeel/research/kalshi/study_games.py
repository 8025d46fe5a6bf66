"""NBA games: first whether there is a longshot bias at all, then a calibration that is tested on later games.

The calibration is isotonic, one curve for each bucket of time to the end: noon in New York on the game's date, and noon
a day earlier. It learns from games before a date and is judged on games from that date on, at the first of these hours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import numpy as np

from evenkeel.events import fitted
from evenkeel.events.calibration import Curve
from evenkeel.events.calibration import fitted as curve_of
from evenkeel.events.pipeline import StakeSettings
from evenkeel.research.kalshi import bias, games, play, split
from evenkeel.research.kalshi.evidence import Judgement, Played, Study, judge, played
from evenkeel.research.kalshi.play import Account, Trade
from evenkeel.research.kalshi.scores import means
from evenkeel.research.kalshi.settled import Settled, Words
from evenkeel.types import Array
from evenkeel.units import DAY_S

PART: Final = 0.5
BANKROLL: Final = Decimal(1_000)
FLAT: Final = Decimal(10)
LOW, HIGH = 0.20, 0.80
CHEAP: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Buckets of what was paid for the side that was bought, USD."""

SERIES: Final = "KXNBAGAME"
EDGES: Final = (float(games.LEAST_LEFT_S), float(games.MOST_LEFT_S), float(games.MOST_LEFT_S + DAY_S))


@dataclass(frozen=True, slots=True)
class Entries:
    """The same games at noon of their date, and at noon the day before."""

    noon: Settled
    day_before: Settled


def study(entries: Entries, before: int | None, seed: int) -> Study:
    """All of it. before  UTC s; without, the date that halves the games · seed  of the intervals' resampling."""
    noon = entries.noon.pick(entries.noon.judged)
    train = split.by_time(noon, PART, before)
    split.refuse(noon, train)
    until = int(noon.close[train].max())
    said = fit(entries, until)
    model = fitted.read("calibration", said, "calibration")
    test = noon.pick(~train)
    judgement = judge(play.said(model, test)[0], test, seed)
    found = bias.bias(noon.mid, noon.outcome, noon.cluster, seed)
    rule = play.play(play.of_quotes(noon), play.extremes(FLAT, LOW, HIGH), BANKROLL)
    backtests = _backtests(model, test, judgement, rule, seed)
    paid = payoffs(rule.trades, seed)
    return Study(
        part="calibration",
        model=said,
        train_end=until,
        golden=golden(model, said, seed),
        judgement=judgement,
        played=backtests,
        facts={
            "entry": "noon in New York on the game's date", "games": len(noon.time),
            "learned_from": int(train.sum()), "judged_on": len(test.time), "bias": found.to_json(),
            "bias_before": bias.bias(*_three(noon.pick(train)), seed).to_json(),
            "bias_after": bias.bias(*_three(test), seed).to_json(),
            "curves": [{**one, "interval": interval(one)} for one in said["curves"] if one], "payoffs": paid,
        },
        words=[found.words, judgement.words, *(one.words for one in judgement.worth),
               *(one.words for one in backtests), *explained(rule.trades)],
    )  # fmt: skip


def _three(quotes: Settled) -> tuple[Array, Array, Words]:
    return quotes.mid, quotes.outcome, quotes.cluster


def fit(entries: Entries, until: int) -> dict[str, Any]:
    """Curves of games that closed by `until`, UTC s, in the form of the part."""
    curves = []
    for rows in (entries.noon, entries.day_before):
        used = rows.pick(rows.judged & (rows.close <= until))
        curves.append(_written(curve_of(used.mid, used.outcome, np.ones(len(used.time)))))
    return {"series": [SERIES], "edges": list(EDGES), "curves": curves}


def _written(curve: Curve) -> dict[str, list[float]]:
    return {name: getattr(curve, name).tolist() for name in ("price", "p", "count", "error")}


def interval(curve: Mapping[str, Sequence[float]]) -> list[list[float]]:
    """80 % interval of each step."""
    low, high = fitted.curve(curve).interval
    return np.stack([low, high], axis=1).tolist()  # type: ignore[no-any-return]


def golden(model: Any, said: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Made-up prices and times to close inside of what the curves saw, and what they give."""
    rng = np.random.default_rng(seed)
    given = []
    for (first, last), one in zip(pairwise(EDGES), said["curves"], strict=True):
        prices = rng.uniform(one["price"][0], one["price"][-1], 16).tolist()
        given += [[price, left] for price, left in zip(prices, rng.uniform(first, last, 16).tolist(), strict=True)]
    return {"input": given, "output": fitted.golden(model, given)}


def _backtests(model: Any, test: Settled, found: Judgement, rule: Account, seed: int) -> Sequence[Played]:
    skill = {one.series: one.skill for one in found.worth}
    known = play.remembered(model, test)
    stakes = StakeSettings(max_edge=1.0)
    measured = play.desk(known, lambda series: skill[series], StakeSettings())
    believed = play.desk(known, lambda _: play.BELIEVED, stakes)
    return [
        played(f"longshots as NO, favourites as YES ({LOW:.2f} / {HIGH:.2f}), all games, flat", rule, seed),
        played("the desk, with the skill that is measured", play.play(play.of_quotes(test), measured, BANKROLL), seed),
        played("the calibration taken at its word (k = 1, no largest edge)",
               play.play(play.of_quotes(test), believed, BANKROLL), seed),
    ]  # fmt: skip


# ---------------------------------------------------------------- win rate and pay-off


def payoffs(trades: Sequence[Trade], seed: int) -> list[dict[str, Any]]:
    """By what was paid: how often it won, how often it had to, what it brought for a dollar."""
    price = np.array([float(one.price) for one in trades])
    won = np.array([float(one.won) for one in trades])
    spent = np.array([float(one.cost + one.fee) for one in trades])
    needed = spent / np.array([float(one.count) for one in trades])
    gain = np.array([float(one.pnl) for one in trades]) / spent
    event = np.array([one.event for one in trades])
    found = []
    for low, high in pairwise(CHEAP):
        here = (price >= low) & (price < high)
        if here.any():
            rate, even, roi = means(np.stack([won[here], needed[here], gain[here]]), event[here], seed)
            found.append({
                "from": low, "to": high, "bets": int(here.sum()), "win_rate": rate.to_json(),
                "break_even": even.value, "roi": roi.to_json(),
            })  # fmt: skip
    return found


def explained(trades: Sequence[Trade]) -> list[str]:
    """Why a win rate is no profit, on these bets."""
    if not trades:
        return []
    rate = sum(one.won for one in trades) / len(trades)
    needed = sum(float((one.cost + one.fee) / one.count) for one in trades) / len(trades)
    first = (
        f"a win rate says nothing without the price: the rule won {rate:.0%} of {len(trades)} bets and had to win "
        f"{needed:.0%} to break even, because a win brings {1 - needed:.2f} USD for each {needed:.2f} that a loss takes"
    )
    return [first, *_perfect(trades)]


def _perfect(trades: Sequence[Trade]) -> list[str]:
    """The dearest bets down to the first loss: a win rate of 100 %, and how likely luck alone is to show it."""
    lost = max((one.price for one in trades if not one.won), default=Decimal(0))
    perfect = [one for one in trades if one.price > lost]
    if len(perfect) < 2:
        return []
    luck = math.exp(sum(math.log(float(one.price)) for one in perfect))
    brought = sum((one.pnl for one in perfect), Decimal(0))
    paid = sum((one.cost + one.fee for one in perfect), Decimal(0))
    told = (
        f"a win rate of 100 % is here too: the {len(perfect)} dearest bets, at {min(one.price for one in perfect)} or "
        f"above, all won, and brought {brought:.2f} USD on {paid:.2f}; if prices are right, luck alone shows that with "
        f"probability {luck:.2f}"
    )
    return [told]
