"""The page in a real browser: nothing said on the console, nothing asked of a network, every chart drawn."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenkeel.research import report

sys.path.insert(0, str(Path(__file__).parent))
import browser as driver

BINARY = driver.find()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no chromium on this machine: apt-get install chromium"),
]

DRAWN = """(() => {
  const seen = [...document.querySelectorAll('svg.chart')].filter(e => e.getClientRects().length);
  return seen.map(e => {
    const shapes = [...e.querySelectorAll('path.line, rect')].filter(s => s.getBBox().width > 0);
    const box = e.getBoundingClientRect();
    const out = [...e.querySelectorAll('text')].filter(t => {
      const b = t.getBoundingClientRect();
      return b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1;
    });
    const ink = shapes.length ? getComputedStyle(shapes[0]) : {};
    return {width: box.width, height: box.height, shapes: shapes.length, outside: out.map(t => t.textContent),
            ink: shapes.length && (shapes[0].tagName === 'rect' ? ink.fill : ink.stroke),
            text: Math.min(...[...e.querySelectorAll('text')].map(t => t.getBoundingClientRect().height))};
  });
})()"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    first, second = (report.build(report.example(seed), np.random.default_rng(0)) for seed in (1, 2))
    report.write(first, folder / "report.html")
    report.write(report.compare([first, second], 0), folder / "compare.html")
    report.write(report.build(crowded(), np.random.default_rng(0)), folder / "crowded.html")
    return folder


def crowded():
    """Nine baselines, over days that end with the first of a month."""
    data = report.example(days=273)
    names = ("buy-and-hold BTC", "equal weight", "inverse volatility", "low volatility", "7-day momentum",
             "random score", "RSI 30/70", "RSI with SMA", "MA crossover")  # fmt: skip
    curves, found = list(data.baselines.values()), data.verdicts
    return replace(
        data,
        baselines={name: curves[i % 4] for i, name in enumerate(names)},
        verdicts=tuple(replace(found[i % 4], baseline=name) for i, name in enumerate(names)),
    )


@pytest.fixture(scope="module")
def browser():
    with driver.Browser(BINARY) as opened:
        yield opened


CHARTS = {"report.html": 11, "compare.html": 2, "crowded.html": 12}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (390, False), (390, True)])
def test_all_charts_are_drawn_in_silence(browser, pages, name, width, dark):
    browser.console.clear()
    browser.requests.clear()
    browser.open(pages / name, width=width, dark=dark)
    drawn = browser.ask(DRAWN)

    assert browser.console == []
    assert browser.requests == [(pages / name).as_uri()]
    assert len(drawn) == CHARTS[name]
    for chart in drawn:
        assert chart["shapes"] > 0
        assert chart["outside"] == []
        assert chart["ink"] not in ("none", "rgb(0, 0, 0)", "")
        assert chart["text"] > 11
    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_ten_columns_of_key_figures_fit_a_wide_page(browser, pages):
    """Nothing is cut off at the right."""
    browser.open(pages / "crowded.html", width=1100)
    wide = browser.ask("(e => [e.scrollWidth, e.clientWidth])(document.querySelector('#figures .scroll'))")

    assert wide[0] <= wide[1]


def test_dark_is_dark(browser, pages):
    """Ink and paper change places."""
    look = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    browser.open(pages / "report.html", width=1100)
    light = browser.ask(look)
    browser.open(pages / "report.html", width=1100, dark=True)
    dark = browser.ask(look)

    paper, ink, night, chalk = (sum(int(part) for part in colour[4:-1].split(",")) for colour in (*light, *dark))
    assert paper > 700
    assert ink < 100
    assert night < 100
    assert chalk > 600
