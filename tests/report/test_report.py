"""The page says what was measured, in words that claim no more, and nothing else."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from evenkeel import metrics
from evenkeel.errors import DataError, UsageError
from evenkeel.research import report
from evenkeel.research.report import charts
from evenkeel.units import DAY_S, utc

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = (
    "equity", "figures", "underwater", "rolling", "monthly", "contributions", "costs", "turnover", "forecasts",
    "regimes", "stress", "ablation", "evidence",
)  # fmt: skip


def built(data):
    return report.build(data, np.random.default_rng(0))


@pytest.fixture(scope="module")
def data():
    return report.example(days=400)


@pytest.fixture(scope="module")
def document(data):
    return built(data)


@pytest.fixture(scope="module")
def page(document):
    return report.render(document)


def bare(data):
    """A run of which nothing but its equity is known."""
    return report.ReportData("bare", "evenkeel backtest", "0", utc("2026-01-01"), data.strategy)


def part(document, name):
    return next(section for section in document["sections"] if section["id"] == name)


def test_every_section_is_there_in_order(document):
    assert tuple(section["id"] for section in document["sections"]) == SECTIONS
    assert not [section["id"] for section in document["sections"] if section["absent"]]


def test_the_twin_in_the_page_is_the_document(document, page):
    twin = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.DOTALL)

    assert json.loads(twin[1]) == json.loads(json.dumps(document, allow_nan=False))


def test_every_figure_of_a_table_is_seen(document, page):
    """What the twin holds, the page shows."""
    shown = re.findall(r"<td[^>]*>(.*?)</td>", page)
    count = sum(len(row) - 1 for s in document["sections"] for t in s["tables"] for row in t["rows"])

    assert len(shown) == count
    assert page.count('<svg class="chart') == 2 * sum(len(s["charts"]) for s in document["sections"])


def test_the_verdict_comes_first(data, document, page):
    assert page.index('class="verdict"') < page.index("<section")
    assert document["verdict"]["line"] in page
    assert [item["sentence"] for item in document["verdict"]["items"]] == [v.sentence for v in data.verdicts]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["beats"], "evenkeel beats its one baseline."),
        (["not distinguishable"] * 3, "evenkeel is not distinguishable from any of its 3 baselines."),
        (["worse", "worse"], "evenkeel is worse than all of its 2 baselines."),
        (
            ["beats", "worse", "not distinguishable", "beats"],
            "evenkeel beats 2, is worse than 1 and is not distinguishable from 1 of 4 baselines.",
        ),
    ],
)
def test_the_headline_counts_the_verdicts(data, words, line):
    verdicts = tuple(replace(data.verdicts[0], word=word) for word in words)

    assert built(replace(data, verdicts=verdicts))["verdict"]["line"] == line


def test_in_sample_is_the_first_word(data):
    got = built(replace(data, in_sample=True))["verdict"]

    assert got["line"].startswith("IN-SAMPLE: ")
    assert "no figure here is evidence" in got["notes"][0]


def test_what_was_not_measured_is_said_and_not_invented(data):
    document = built(bare(data))
    page = report.render(document)
    absent = {section["id"] for section in document["sections"] if section["absent"]}

    assert absent == set(SECTIONS) - {"figures", "equity", "underwater", "rolling", "monthly"}
    assert page.count("not measured: ") == len(absent)
    assert "Not measured: the same run with costs twice as high." in page
    assert document["verdict"]["line"] == "Not judged: no baseline was run beside it."
    assert all(not (s["charts"] or s["tables"]) for s in document["sections"] if s["absent"])


def test_pbo_that_was_not_computed_says_why(data):
    few = replace(data.overfit, probability=None, reason="9 trials, 10 are needed")

    assert "not computed (9 trials, 10 are needed)" in report.render(built(replace(data, overfit=few)))


def test_a_run_shorter_than_its_window_has_no_rolling_sharpe():
    document = built(report.example(days=90))

    assert part(document, "rolling")["absent"] == "90 days, more than 180 are needed"
    assert report.render(document)


def test_a_curve_too_short_or_impossible_is_refused(data):
    short = (data.strategy[0][:3], data.strategy[1][:3])
    with pytest.raises(DataError, match="two whole days"):
        built(replace(data, strategy=short))
    with pytest.raises(DataError, match="cannot be"):
        built(replace(data, strategy=(data.strategy[0], -data.strategy[1])))


def test_figures_are_those_of_metrics(data, document):
    first = next(iter(data.baselines.values()))

    assert document["figures"]["evenkeel"] == metrics.statistics(*data.strategy, benchmark=first)


def test_costs_add_up(data, document):
    rows = part(document, "costs")["charts"][0]["rows"]

    assert math.isclose(sum(value for _, value, _ in rows[:3]), rows[3][1], rel_tol=1e-12)
    assert math.isclose(rows[3][1], data.strategy[1][-1] - data.strategy[1][0], rel_tol=1e-9)


def test_a_loss_before_costs_is_told_as_such(data):
    costs = report.Costs(gross=-100.0, fees=20.0, slippage=5.0)
    finding = part(built(replace(data, costs=costs)), "costs")["charts"][0]["finding"]

    assert finding == "−100 USD gross; costs took another 25 USD."


def test_the_three_cuts_have_one_sum(document):
    sums = [sum(value for _, value in chart["rows"]) for chart in part(document, "contributions")["charts"]]

    assert np.allclose(sums, sums[0])


def test_turnover_by_week_is_all_that_was_traded(data, document):
    chart = part(document, "turnover")["charts"][0]
    at = np.clip(np.searchsorted(data.strategy[0], chart["time"]), 0, len(data.strategy[0]) - 1)

    assert math.isclose(np.sum(np.array(chart["values"]) * data.strategy[1][at]), data.traded.usd.sum(), rel_tol=1e-6)


def test_many_baselines_share_no_line_style(data):
    """Each is drawn in a chart of few lines, beside the run."""
    curve = next(iter(data.baselines.values()))
    charts = part(built(replace(data, baselines={f"b{i}": curve for i in range(9)})), "equity")["charts"]
    shown = [[series["name"] for series in chart["series"]] for chart in charts]

    assert shown[0] == ["evenkeel", "b0", "b1", "b2", "b3", "b4"]
    assert shown[1] == ["evenkeel", "b5", "b6", "b7", "b8"]
    assert charts[1]["title"] == "Equity beside b5, b6, b7 and b8"
    assert charts[2]["scale"] == "log"


def test_a_market_that_never_fell_has_no_worst_days(data):
    time = data.strategy[0]
    rising = (time, 100.0 * np.exp(np.arange(len(time)) / 1000))

    assert part(built(replace(data, baselines={"up": rising})), "stress")["absent"] == "up fell on no day"


def test_yearly_figures_of_a_few_days_are_not_believed():
    notes = part(built(report.example(days=30)), "figures")["notes"]

    assert notes[-1] == "Yearly figures are drawn out from 30 days: they say next to nothing."
    assert len(part(built(report.example(days=90)), "figures")["notes"]) == 1


def test_the_caller_may_say_why_and_what_besides(data):
    """Reasons and notes of the caller stand where they belong."""
    told = {"ablation": "--quick was given", "baselines": "no candles", "doubled": "asked to be quick"}
    document = built(replace(bare(data), absent=told, notes={"equity": ["by hand"]}))

    assert part(document, "ablation")["absent"] == "--quick was given"
    assert document["verdict"]["line"] == "Not judged: no candles."
    assert part(document, "stress")["absent"] == part(document, "evidence")["absent"] == "no candles"
    assert part(document, "costs")["notes"] == [
        "Not measured: the same run with costs twice as high (asked to be quick)."
    ]
    assert part(document, "equity")["notes"] == ["by hand"]


def test_the_water_is_as_deep_as_the_deepest_moment(data, document):
    """Not only at midnights: the drawing and the sentence show the same depth."""
    chart = part(document, "underwater")["charts"][0]
    drawn = np.array(chart["series"][0]["values"])

    assert math.isclose(-drawn.min(), metrics.max_drawdown(data.strategy[1]), rel_tol=1e-6)
    assert (drawn <= metrics.underwater(metrics.daily(*data.strategy)) + 1e-9).all()
    assert len(chart["time"]) == len(drawn) == 401


def test_regimes_share_all_days(data, document):
    rows = part(document, "regimes")["tables"][0]["rows"]

    assert sum(row[1] for row in rows) == 400
    assert math.isclose(sum(row[2] for row in rows), 1.0)


def test_stress_days_are_the_baselines_worst(data, document):
    _, returns = metrics.daily_returns(*data.baselines["buy-and-hold BTC"])
    rows = part(document, "stress")["tables"][0]["rows"]

    assert np.allclose([row[1] for row in rows], np.sort(returns)[:10])


def test_words_of_others_are_escaped(data):
    nasty = "</script><script>alert(1)</script>&<b>"
    page = report.render(built(replace(data, title=nasty, name=nasty, facts={nasty: nasty})))

    assert "<script>" not in page
    assert page.count("</script>") == 1
    assert "<b>" not in page


def test_the_page_asks_nothing_of_a_network(page):
    class Reader(HTMLParser):
        links: list[str] = []  # noqa: RUF012 - one page, one list

        def handle_starttag(self, tag, attrs):
            self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action") and value]

    Reader().feed(page)

    assert Reader.links == ["data:,"]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_tables_can_be_read_aloud(page):
    assert page.count("<table") == len(re.findall(r'<table aria-label="[^"]+"', page))
    assert page.count('<th scope="row">') > 20
    assert len(re.findall(r'role="img" aria-label="[^"]{10,}"', page)) == page.count('<svg class="chart')


def test_the_same_input_gives_the_same_page(data, page):
    assert report.render(built(data)) == page


def test_a_page_is_written_whole_or_refused(document, tmp_path):
    report.write(document, tmp_path / "deep" / "report.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]

    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another path"):
        report.write(document, tmp_path / "file" / "report.html")


# ---------------------------------------------------------------- side by side


def test_runs_stand_side_by_side(document):
    other = built(report.example(2, days=400, name="other"))
    got = report.compare([document, other], utc("2026-01-01"))
    rows = part(got, "figures")["tables"][0]["rows"]

    assert rows[0][1:] == [document["figures"]["evenkeel"]["total_return"], other["figures"]["other"]["total_return"]]
    assert [item["sentence"].endswith(d["verdict"]["line"]) for item, d in
            zip(got["verdict"]["items"], [document, other], strict=True)] == [True, True]  # fmt: skip
    assert all(series["values"][0] == 1.0 for series in part(got, "equity")["charts"][0]["series"])
    assert "Runs side by side" in report.render(got)


def test_runs_over_other_days_are_not_comparable(document):
    other = built(report.example(2, days=300))
    got = report.compare([document, other, document], 0)

    assert "not comparable" in got["verdict"]["line"]
    assert "(3)" in got["verdict"]["items"][2]["sentence"]


def test_one_run_is_no_comparison(document):
    with pytest.raises(UsageError, match="two or more"):
        report.compare([document], 0)


# ---------------------------------------------------------------- charts


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.7, 12.2), (9_800, 10_100), (0.0011, 0.0042), (-0.31, 0.02)])
def test_ticks_are_round_and_inside(low, high):
    found = charts.ticks(low, high, 6)
    steps = np.diff(found)

    assert 3 <= len(found) <= 8
    assert min(found) >= low - 1e-9
    assert max(found) <= high + 1e-9
    assert np.allclose(steps, steps[0])
    assert f"{steps[0]:.10e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


def test_log_ticks_double_and_fall_back():
    assert charts.log_ticks(90, 1_100) == [100, 200, 500, 1_000]
    assert len(charts.log_ticks(10_000, 12_000)) >= 3


@pytest.mark.parametrize("days", [1, 5, 40, 200, 900, 5_000])
def test_time_ticks_fit(days):
    start = utc("2023-03-05")
    found = charts.time_ticks(start, start + days * DAY_S, 6)

    assert 1 <= len(found) <= 7
    assert all(start <= moment <= start + days * DAY_S for moment, _ in found)


def test_numbers_read_well():
    assert charts.number(-0.0312, "percent") == "−3.1 %"
    assert charts.number(-0.0000001, "percent") == "0.0 %"
    assert charts.number(12_345.6, "usd") == "12,346"
    assert charts.number(None, "ratio") == "–"
    assert charts.number(math.nan, "ratio") == "–"


def test_a_gap_breaks_the_line():
    chart = {"kind": "line", "title": "t", "finding": "", "unit": "usd", "time": [0, DAY_S, 2 * DAY_S, 3 * DAY_S],
             "series": [{"name": "a", "values": [1.0, None, 2.0, 3.0]}]}  # fmt: skip
    path = re.search(r'class="line c0" d="([^"]+)"', charts.draw(chart))[1]

    assert path.count("M") == 2
    assert path.count("L") == 1


@pytest.mark.parametrize("values", [[5.0] * 4, [0.0] * 4, [None] * 4, [-1.0, 1.0, -1.0, 1.0], [1e-9, 2e-9, 1e-9, 0.0]])
@pytest.mark.parametrize("kind", ["line", "bars"])
def test_any_values_can_be_drawn(values, kind):
    chart = {"kind": kind, "title": "t", "finding": "", "unit": "ratio", "values": values,
             "time": [0, DAY_S, 2 * DAY_S, 3 * DAY_S], "series": [{"name": "a", "values": values}]}  # fmt: skip

    assert "nan" not in charts.draw(chart)


# ---------------------------------------------------------------- packaging


@pytest.mark.slow
def test_the_template_travels_in_the_wheel(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()

    assert "evenkeel/research/report/page.html" in names
