"""May a challenger take the champion's place? Paired statistics in, a verdict in one sentence out.

Pure. Both are judged on the same bars, all of them after both were trained; the champion stays unless the challenger
is better by one standard error in IC and not worse by more than one in net active return. Expiry never promotes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenkeel.research.evidence import newey_west_t
from evenkeel.types import Array
from evenkeel.units import DAY_S, iso

MIN_DAYS = 90.0
MIN_T = 1.0
MAX_LOSS_SE = 1.0


@dataclass(frozen=True, slots=True)
class Duel:
    """Challenger less champion on common decisions.

    since, until  UTC s of the first and last common decision
    ic, ic_t      mean difference of IC, and its t by Newey-West
    net, net_se   mean daily difference of net active return, fraction, and its standard error
    """

    since: int
    until: int
    decisions: int
    ic: float
    ic_t: float
    net: float
    net_se: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger takes over, and why in one sentence."""

    promoted: bool
    sentence: str


def judged_from(champion_valid: int, challenger_valid: int) -> int:
    """First decision, UTC s, on which both are judged: after both train ends, horizons and a bar (`valid_from`)."""
    return max(champion_valid, challenger_valid)


def duel(
    since: int,
    until: int,
    champion_ic: Array,
    challenger_ic: Array,
    lags: int,
    champion_net: Array,
    challenger_net: Array,
) -> Duel:
    """Pair the two.

    champion_ic, challenger_ic    (D,) per decision, NaN = not judged; only decisions known in both count
    champion_net, challenger_net  (days,) daily net active return, fraction; days may depend on each other over a week
    """
    ic = challenger_ic - champion_ic
    ic = ic[np.isfinite(ic)]
    net = challenger_net - champion_net
    net = net[np.isfinite(net)]
    mean = float(net.mean()) if len(net) else math.nan
    t = newey_west_t(net, 7)
    same = bool(len(net)) and not net.any()
    return Duel(
        since=since,
        until=until,
        decisions=len(ic),
        ic=float(ic.mean()) if len(ic) else math.nan,
        ic_t=newey_west_t(ic, lags),
        net=mean,
        net_se=0.0 if same else abs(mean / t) if t else math.nan,
    )


def verdict(found: Duel | None) -> Verdict:
    """Judge a duel; None = there is no champion, so the challenger takes an empty place."""
    if found is None:
        return Verdict(promoted=True, sentence="no model is in use: the challenger takes the empty place")
    days = (found.until - found.since) / DAY_S
    if not days >= MIN_DAYS:
        return _stays(
            f"only {max(days, 0.0):.0f} days after both train ends ({iso(found.since)}), {MIN_DAYS:.0f} are needed"
        )
    if not found.ic_t >= MIN_T:
        return _stays(
            f"IC differs by {found.ic:+.4f}, t {found.ic_t:.2f} over {found.decisions} decisions, t {MIN_T:g} is needed"
        )
    if not found.net >= -MAX_LOSS_SE * found.net_se:
        return _stays(
            f"net active return is {found.net * 1e4:+.2f} bps a day, worse by more than one standard error "
            f"({found.net_se * 1e4:.2f})"
        )
    return Verdict(
        promoted=True,
        sentence=f"the challenger takes over: IC {found.ic:+.4f} (t {found.ic_t:.2f}), net active return "
        f"{found.net * 1e4:+.2f} bps a day (standard error {found.net_se * 1e4:.2f}) over {days:.0f} days",
    )


def _stays(why: str) -> Verdict:
    return Verdict(promoted=False, sentence=f"the champion stays: {why}")
