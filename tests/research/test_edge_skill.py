"""What the implied drift was worth: a planted skill is found, none is not, and the figure sets the weight."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenkeel.errors import ArtifactError, DataError
from evenkeel.market import synthetic_boards
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.research import edge_skill
from evenkeel.research.edge_skill import Heard, Sample
from evenkeel.signals.edge import load
from venues.exchanges import PAIRS

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "kalshi_crypto_hourly.parquet"
SHIPPED = Path(__file__).resolve().parents[2] / "models" / "edge" / "v1"
BEGIN, DAY = 1_735_689_600, 86_400


def heard(rho, events=2_000, coins=2, seed=1):
    """Samples with that correlation; coins that close together share their move."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(events // coins, 1))
    came = 0.8 * shared + 0.6 * rng.normal(size=(events // coins, coins))
    drift = 0.3 * (rho * came + math.sqrt(1 - rho**2) * rng.normal(size=came.shape))
    samples = tuple(
        Sample(f"C{c}", 3_600 * row, 3_600, float(drift[row, c]), float(came[row, c]))
        for row in range(events // coins)
        for c in range(coins)
    )
    return Heard("somewhere", samples, {})


@pytest.mark.parametrize("rho", [-0.2, 0.0, 0.1, 0.5])
def test_a_planted_skill_is_found_within_its_error(rho):
    """IC is Pearson's correlation; the slope that of a plain regression."""
    given = heard(rho)
    found = edge_skill.measured(given)
    drift, came = (np.array([getattr(s, name) for s in given.samples]) for name in ("drift", "came"))

    assert found.ic == pytest.approx(np.corrcoef(drift, came)[0, 1])
    assert found.slope == pytest.approx(np.polyfit(drift, came, 1)[0])
    assert abs(found.ic - rho) < 3 * found.ic_se
    assert (found.events, found.closes) == (2_000, 1_000)
    assert (found.weight > 0) == (rho > 0.05)


def test_the_error_is_clustered_by_close():
    """Beside a plain loop over closes; the same events a second time are no new evidence."""
    given = heard(0.1, 400)
    found = edge_skill.measured(given)
    drift, came = (np.array([getattr(s, name) for s in given.samples]) for name in ("drift", "came"))
    x, y = ((v - v.mean()) / v.std() for v in (drift, came))
    parts = [0.0] * 200
    for s, a, b in zip(given.samples, x, y, strict=True):
        parts[s.close // 3_600] += a * (b - found.ic * a)
    twice = edge_skill.measured(replace(given, samples=given.samples * 2))

    assert found.ic_se == pytest.approx(math.sqrt(sum(p * p for p in parts) * 200 / 199) / 400)
    assert twice.ic_se == pytest.approx(found.ic_se)
    assert twice.ic_t == pytest.approx(found.ic_t)


def test_too_little_is_not_measured():
    """One sentence with the count and why the others are missing."""
    with pytest.raises(DataError, match=r"20 events can be measured, 30 are needed \(5 TOO_NEW\)"):
        edge_skill.measured(Heard("x", heard(0.1, 20).samples, {"TOO_NEW": 5}))


@pytest.mark.parametrize("knows", [0.0, 0.5])
def test_the_embedded_crowd_has_the_skill_that_it_was_given(knows):
    """One that knows nothing of the next hour has none that is carried; one that does has nearly all."""
    settings = SyntheticSettings(seed=7, crowd_knows=knows)
    found = edge_skill.measured(edge_skill.embedded(_panel(settings), settings))

    assert abs(found.ic) < 3 * found.ic_se if knows == 0 else found.ic > 0.9
    assert found.source == f"the embedded market, which knows {knows:g} of the next hour"


def _panel(settings):
    return market(tuple(PAIRS.values()), BEGIN, BEGIN + 5 * DAY, 3_600, settings)


def test_of_one_look_only_the_ladder_that_closes_next_is_read(tmp_path):
    """A file with a ladder of the next hour and one of five hours later: every sample closes within the hour."""
    settings = SyntheticSettings(seed=7)
    panel = _panel(settings)
    rows = [row for at in range(60) for row in _captured(panel, at, settings)]
    path = tmp_path / "ladders.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)

    found = edge_skill.captured(path)

    assert len(found.samples) > 10
    assert {s.left for s in found.samples} == {3_600}


def _captured(panel, row, settings):
    """One look at BTC as the shared file has it: ranges of the next hour, and the same five hours later."""
    now, spot = int(panel.time[row]), float(panel.close[row, 0])
    rungs = [c for c in synthetic_boards.board(panel, row, settings, hours=1).contracts if c.asset == "BTC"]
    for ahead, (a, b) in product((0, 5 * 3_600), pairwise(rungs)):
        mids = [(float(c.yes_bid or 0) + float(c.yes_ask or 1)) / 2 for c in (a, b)]
        chance = mids[0] - mids[1]
        yield {
            "captured_at": datetime.fromtimestamp(now, UTC), "event_ticker": f"KXBTC-{now + ahead}",
            "ticker": f"{a.ticker}-{ahead}", "close_time": datetime.fromtimestamp(a.expiry + ahead, UTC),
            "strike_type": "between", "floor_strike": a.floor, "cap_strike": b.floor - 0.01,
            "yes_bid": max(0.0, round(chance - 0.01, 2)), "yes_ask": round(chance + 0.01, 2), "series": "KXBTC",
            "result": "yes" if a.floor <= spot <= b.floor - 0.01 else "no", "expiration_value": spot,
            "spot_price": spot,
        }  # fmt: skip


def test_what_is_kept_is_what_the_opinion_weighs_with(tmp_path):
    """A bundle, read back: source, figures, the moment from which it counts; never overwritten."""
    found = edge_skill.measured(heard(0.3))
    path = edge_skill.keep(tmp_path, "v3", found, created=100, expires_days=10).path
    read = load(path)

    assert (read.weight, read.source, read.until, read.events) == (found.weight, "somewhere", found.until, 2_000)
    assert read.expires == 100 + 10 * DAY
    assert found.sentence() in (path / "CARD.md").read_text()
    with pytest.raises(ArtifactError, match="exists"):
        edge_skill.keep(tmp_path, "v3", found, created=100, expires_days=10)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the shared ladders are not here")
def test_the_shipped_figure_is_that_of_the_shared_ladders():
    """Measured again, it is the same; it carries nothing, and so the edge weighs nothing."""
    found, shipped = edge_skill.measured(edge_skill.captured(SHARED)), load(SHIPPED)

    assert (shipped.events, shipped.until, shipped.source) == (found.events, found.until, found.source)
    assert [shipped.ic, shipped.ic_se, shipped.ic_t] == pytest.approx([found.ic, found.ic_se, found.ic_t], abs=1e-9)
    assert abs(found.ic_t) < 2
    assert shipped.weight == 0.0
