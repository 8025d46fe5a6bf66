"""What was measured, as a bundle and a person are told it: scores, skill by series, back-tests, and words for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenkeel.events.stake import BOUND, LEAST_EVENTS, Skill, skill
from evenkeel.research.kalshi.play import Account
from evenkeel.research.kalshi.scores import Bucket, Estimate, Scores, compared, reliability, total
from evenkeel.research.kalshi.settled import Settled, Words
from evenkeel.research.significance import LEVEL, NORMAL
from evenkeel.types import Array, IntArray
from evenkeel.units import iso


@dataclass(frozen=True, slots=True)
class Worth:
    """A model of one series, out of time: how far outcomes followed it rather than the price."""

    series: str
    skill: Skill
    brier: Estimate

    @property
    def earns(self) -> bool:
        """Whether the desk may stake on it: enough events, and skill whose 80 % lower bound is above 0."""
        return self.skill.proven and self.skill.k - BOUND * self.skill.error > 0

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        k, error, events = self.skill.k, self.skill.error, self.skill.events
        half = NORMAL.inv_cdf((1 + LEVEL) / 2) * error
        told = f"k = {k:.2f} [{k - half:.2f}, {k + half:.2f}] over {events} settled events"
        if not math.isfinite(error):
            return f"{self.series}: nothing was measured ({events} settled events): the desk refuses it"
        if not self.skill.proven:
            return f"{self.series}: no edge is proven, {told}, of which {LEAST_EVENTS} are needed: the desk refuses it"
        if not self.earns:
            return f"{self.series}: there is no edge, {told}: the desk refuses it"
        return f"{self.series}: the model knows more than the price, {told}: the desk stakes by that"

    def to_json(self) -> dict[str, Any]:
        """What a bundle says of the series."""
        half = NORMAL.inv_cdf((1 + LEVEL) / 2) * self.skill.error
        known = math.isfinite(self.skill.error)
        return {
            "events": self.skill.events, "k": self.skill.k, "error": self.skill.error if known else None,
            "interval": [self.skill.k - half, self.skill.k + half] if known else None, "earns": self.earns,
            "brier_difference": self.brier.to_json(), "words": self.words,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played:
    """A back-test's result. staked USD with fees · profit USD after fees, interval by cluster."""

    name: str
    bets: int
    won: int
    staked: float
    fees: float
    profit: Estimate

    @property
    def words(self) -> str:
        """Whether it earned."""
        if not self.bets:
            return f"{self.name}: no bet was made"
        told = f"{self.won} of {self.bets} bets won ({self.won / self.bets:.0%}), {self.profit.value:+.2f} USD"
        told += f" [{self.profit.low:+.2f}, {self.profit.high:+.2f}] on {self.staked:.2f} staked"
        verdict = {1: "it earned", 0: "no profit is shown", -1: "it lost"}[self.profit.sure]
        return f"{self.name}: {told}: {verdict}"

    def to_json(self) -> dict[str, Any]:
        """Its figures and words."""
        rate = self.won / self.bets if self.bets else None
        return {
            "name": self.name, "bets": self.bets, "won": self.won, "win_rate": rate, "staked": self.staked,
            "fees": self.fees, "profit": self.profit.to_json(), "words": self.words,
            "roi": self.profit.value / self.staked if self.staked else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that is found out about one model on one kind of file.

    part       name of the bundle's part · model  as it is served, in the part's JSON form
    train_end  UTC s of the last close that was learned from, None = nothing is fitted
    golden     made-up inputs and what the fitting library gives for them; NaN as null
    rows, events  judged, out of time · played  back-tests · facts  further figures · words  sentences for a person
    """

    part: str
    model: Mapping[str, Any]
    train_end: int | None
    golden: Mapping[str, Any]
    judgement: Judgement
    played: Sequence[Played]
    facts: Mapping[str, Any]
    words: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Figures and words, without the model."""
        return {
            "model": self.part, "trained_until": None if self.train_end is None else iso(self.train_end),
            **self.judgement.to_json(), "backtests": [one.to_json() for one in self.played], **self.facts,
            "words": list(self.words),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """A model judged on quotes that it did not learn from.

    curves  by forecaster, how often what was said came true · worth  by series
    """

    scores: Scores
    curves: Mapping[str, Sequence[Bucket]]
    worth: Sequence[Worth]

    @property
    def words(self) -> str:
        """Whether the model beats the price."""
        found, loss = self.scores.brier_difference, self.scores.log_loss_difference
        told = f"Brier {found.signed}, log loss {loss.signed} against the price, {found.clusters} independent events"
        if found.sure < 0 and loss.sure < 0:
            return f"the model beats the market price: {told}"
        if found.sure > 0 or loss.sure > 0:
            return f"the model is worse than the market price: {told}"
        return f"the model does not beat the market price: {told}"

    def to_json(self) -> dict[str, Any]:
        """Its figures and words."""
        return {
            "words": self.words, "scores": self.scores.to_json(),
            "reliability": {name: [one.to_json() for one in curve] for name, curve in self.curves.items()},
            "worth": {one.series: one.to_json() for one in self.worth},
        }  # fmt: skip


def judge(model: Array, quotes: Settled, seed: int) -> Judgement:
    """Probabilities (n,) of quotes that a model did not learn from, against their mids."""
    used = quotes.judged & np.isfinite(model)
    p, rows = model[used], quotes.pick(used)
    return Judgement(
        scores=compared(p, rows.mid, rows.outcome, rows.cluster, seed),
        curves={
            "model": reliability(p, rows.outcome, rows.cluster, seed),
            "market": reliability(rows.mid, rows.outcome, rows.cluster, seed),
        },
        worth=tuple(_worth(model, quotes, seed)),
    )


def _worth(model: Array, quotes: Settled, seed: int) -> Iterator[Worth]:
    for series in np.unique(quotes.series).tolist():
        used = quotes.judged & np.isfinite(model) & (quotes.series == series)
        rows, p = quotes.pick(used), model[used]
        found = compared(p, rows.mid, rows.outcome, rows.cluster, seed).brier_difference
        yield Worth(series, skill(p, rows.mid, rows.outcome, _numbers(rows.event)), found)


def _numbers(names: Words) -> IntArray:
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def played(name: str, account: Account, seed: int) -> Played:
    """What a back-test brought."""
    trades = account.trades
    pnl = np.array([float(one.pnl) for one in trades])
    clusters = np.array([one.event if one.category == "NBA" else iso(one.settled) for one in trades])
    return Played(
        name=name,
        bets=len(trades),
        won=sum(one.won for one in trades),
        staked=float(sum(one.cost + one.fee for one in trades)),
        fees=float(sum(one.fee for one in trades)),
        profit=total(pnl, clusters, seed) if trades else Estimate(0.0, 0.0, 0.0, 0),
    )
