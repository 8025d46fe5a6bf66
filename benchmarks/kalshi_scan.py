"""A full pass over event contracts, from the screen to proposals, beside a plain loop over markets.

kalshi_scan.py [N] [--json]

Both read the same board of N (3,000) contracts in 20 events, price it by the same lognormal, take the same fees and the
same tenth of Kelly under the same cap, and pick the best contract of each event. The plain loop does no more than that:
no ladder sanity, no errors, no baskets, no critic, and nothing is said of what it passes over. The two have to name
the same contracts, sides and counts. Two ratios: of the whole way from rows, and of the five steps on arrays alone.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from statistics import median

import numpy as np

from evenkeel.events.board import ladders
from evenkeel.events.fair import Lognormal, Spot
from evenkeel.events.pipeline import Exposure, ScreenSettings, StakeSettings, scan
from evenkeel.events.stake import Skill
from evenkeel.events.volatility import Volatility
from evenkeel.types import Board, Contract
from evenkeel.units import YEAR_S

NOW, EVENTS, SPOT, EQUITY = 1_787_000_000, 20, 60_000.0, 100_000.0
VOL = 0.5 / math.sqrt(YEAR_S)
SCREEN = ScreenSettings(series=("KXBTCD",))
STAKES = StakeSettings(max_edge=1.0, cluster=1.0, category=1.0, total=1.0)
CENTS = ((Decimal(0), Decimal(1), Decimal("0.01")),)


def rows(count: int) -> Iterator[Contract]:
    """Thresholds two cents wide around a crowd whose width is a fifth off in every third event."""
    rng = np.random.default_rng(0)
    each = count // EVENTS
    for e in range(EVENTS):
        left = 1_800 + 600 * e
        sd = VOL * math.sqrt(left - 40) * (1.2 if e % 3 == 0 else 1.0)
        for k, z in enumerate(np.linspace(-2.5, 2.5, each).tolist()):
            strike = round(SPOT * math.exp(z * sd))
            p = 0.5 * math.erfc((math.log(strike / SPOT) + sd * sd / 2) / sd / math.sqrt(2))
            bid, ask = (Decimal(round(min(max(100 * x, 1), 99))) / 100 for x in (p - 0.01, p + 0.01))
            sizes = [Decimal(int(x)) for x in rng.integers(50, 5_000, 2)]
            yield Contract(
                f"KXBTCD-{e}-T{k}", f"KXBTCD-{e}", "BTC", "greater", float(strike), None, NOW + left,
                bid, ask, sizes[0], sizes[1], CENTS, "quadratic", Decimal(1), "active",
            )  # fmt: skip


def plain(contracts: tuple[Contract, ...]) -> set[tuple[str, str, int]]:
    """The same rules, market by market."""
    best: dict[str, tuple[float, tuple[str, str, int]]] = {}
    for c in contracts:
        bid, ask, left = float(c.yes_bid or 0), float(c.yes_ask or 1), c.expiry - NOW
        mid = (bid + ask) / 2
        if not (0.03 <= mid <= 0.97 and 90 <= left <= 86_400 and 0 < ask - bid <= 0.1 and c.status == "active"):
            continue
        sd = VOL * math.sqrt(left - 40)
        p = 0.5 * math.erfc((math.log((c.floor or 0.0) / SPOT) + sd * sd / 2) / sd / math.sqrt(2))
        for side, q, price, size in (("yes", p, ask, c.ask_size), ("no", 1 - p, 1 - bid, c.bid_size)):
            count, cost = staked(q, price, float(size))
            if size >= 10 and count > 0 and q - cost >= STAKES.min_edge:
                f = count * cost / EQUITY
                value = q * math.log1p(f * (1 - cost) / cost) + (1 - q) * math.log1p(-f)
                if value > best.get(c.event, (0.0, None))[0]:
                    best[c.event] = value, (c.ticker, side, count)
    return {chosen for _, chosen in best.values()}


def staked(p: float, price: float, size: float) -> tuple[int, float]:
    """A tenth of Kelly under the cap, the fee rounded up to the cent at the actual size."""
    count, cost = int(min(size, STAKES.max_contracts)), price + 0.07 * price * (1 - price)
    while True:
        usd = min(STAKES.kelly * EQUITY * max((p - cost) / (1 - cost), 0.0), STAKES.market * EQUITY)
        fewer = min(count, int(usd / cost + 1e-9))
        raw = 0.07 * max(fewer, 1) * price * (1 - price)
        cost = price + (math.ceil(round(raw * 100, 8)) / 100 / fewer if fewer else raw)
        if fewer == count:
            return count, cost
        count = fewer


def timed(work: Callable[[], object], times: int = 9) -> float:
    """Median seconds of a call."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return median(took)


def main() -> None:
    """Times both and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contracts", nargs="?", type=int, default=3_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    board = Board(NOW, tuple(rows(given.contracts)))
    spots = {"BTC": Spot(SPOT, 1.0, Volatility(VOL, 0.0))}
    exposure, skill = Exposure(EQUITY, EQUITY), Skill(1_000, 1.0, 0.0)

    def ours(shown: Board = board) -> set[tuple[str, str, int]]:
        done = scan(ladders(shown), Lognormal(), spots, skill, exposure, SCREEN, STAKES)
        return {(x.ticker, x.side, int(x.count)) for x in done.proposals}

    if ours() != plain(board.contracts):
        sys.exit(f"they differ: {sorted(ours() ^ plain(board.contracts))}")
    read = ladders(board)
    arrays = timed(lambda: scan(read, Lognormal(), spots, skill, exposure, SCREEN, STAKES))
    whole, loop = timed(ours), timed(lambda: plain(board.contracts))
    empty = timed(lambda: ours(replace(board, contracts=board.contracts[:0])))
    if given.json:
        print(json.dumps({"contracts": len(board.contracts), "whole_s": whole, "steps_s": arrays, "loop_s": loop}))
        return
    print(f"{len(board.contracts)} contracts, {len(ours())} proposals, both the same")
    print(f"rows to arrays, sanity, five steps  {whole * 1e3:8.1f} ms")
    print(f"five steps alone                    {arrays * 1e3:8.1f} ms")
    print(f"an empty board                      {empty * 1e3:8.1f} ms")
    print(f"plain loop over markets             {loop * 1e3:8.1f} ms")
    print(f"plain loop / whole way              {loop / whole:8.2f}")
    print(f"plain loop / five steps             {loop / arrays:8.2f}")


if __name__ == "__main__":
    main()
