"""The live feed: a risk check waits for nobody who brings bars in."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import world

from evenkeel.engine.live import LiveFeed, Touches
from evenkeel.errors import FeedError
from evenkeel.portfolio.schedule import volume_profile
from evenkeel.types import Brain, Panel


@pytest.fixture
def panel() -> Panel:
    """Six weeks of a few coins."""
    return world.panel()


def quotes(panel: Panel) -> Touches:
    """A one-basis-point spread around the last close, read a moment ago."""
    return {
        asset: (close * 0.99995, close * 1.00005, int(panel.time[-1]))
        for asset, close in zip(panel.assets, panel.close[-1], strict=True)
    }


class Archive:
    """Bars that lie here, and a download that hangs until it is let go."""

    def __init__(self, panel: Panel, *, empty: bool) -> None:
        self.panel, self.empty = panel, empty
        self.asked, self.go = threading.Event(), threading.Event()

    def bring(self, _: int) -> Panel:
        """Hang."""
        self.asked.set()
        assert self.go.wait(60)
        return self.panel

    def stored(self, _: int) -> Panel:
        """What lies here."""
        if self.empty:
            raise FeedError("no bars")
        return self.panel


@pytest.fixture
def hanging(panel: Panel, request: pytest.FixtureRequest) -> Iterator[tuple[LiveFeed, Archive]]:
    """A feed whose trading lane waits for its exchange."""
    archive = Archive(panel, empty=request.param)
    feed = LiveFeed(
        archive.bring, archive.stored, lambda: quotes(panel), lambda: None,
        lambda: float(panel.time[-1]), Brain(), world.SIGNALS,
    )  # fmt: skip
    lane = threading.Thread(target=feed.refresh, args=[int(panel.time[-1])])
    lane.start()
    assert archive.asked.wait(60)
    yield feed, archive
    archive.go.set()
    lane.join()


@pytest.mark.parametrize("hanging", [False], indirect=True)
def test_a_check_reads_stored_bars_while_others_are_brought_in(hanging: tuple[LiveFeed, Archive], panel: Panel) -> None:
    """Fresh quotes over the archive's bars, at once."""
    feed, archive = hanging

    view = feed.view(int(panel.time[-1]), 0)

    assert not archive.go.is_set()
    known = np.isfinite(panel.close[-1])
    assert known.sum() > 8
    np.testing.assert_allclose(view.price[known], panel.close[-1, known], rtol=1e-8)


@pytest.mark.parametrize("hanging", [True], indirect=True)
def test_a_check_with_no_bars_at_all_says_so_at_once(hanging: tuple[LiveFeed, Archive], panel: Panel) -> None:
    """A very first start."""
    feed, archive = hanging

    with pytest.raises(FeedError, match="no bars"):
        feed.view(int(panel.time[-1]), 0)

    assert not archive.go.is_set()


def test_vwap_knows_each_assets_own_volume_and_the_touch_is_the_polled_one(panel: Panel) -> None:
    """Shares of the day from the bars known so far; nothing before the first, nothing for a stranger."""
    feed = LiveFeed(
        lambda _: panel, lambda _: panel, lambda: quotes(panel), lambda: None,
        lambda: float(panel.time[-1]), Brain(), world.SIGNALS,
    )  # fmt: skip

    assert np.isnan(feed.profile("BTC")).all()
    assert feed.touch("BTC") is None

    feed.refresh(int(panel.time[-1]))

    for asset in ("BTC", "PEPE"):
        volume = panel.volume[:, panel.assets.index(asset)]
        np.testing.assert_array_equal(feed.profile(asset), volume_profile(panel.time, volume, panel.bar_s))
    assert not np.array_equal(feed.profile("BTC"), feed.profile("PEPE"))
    touch, close = feed.touch("BTC"), float(panel.close[-1, panel.assets.index("BTC")])
    assert touch is not None
    assert touch.bid < close < touch.ask
    assert feed.touch("nobody") is None
    assert np.isnan(feed.profile("nobody")).all()
