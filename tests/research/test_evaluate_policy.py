"""Books of a policy: windows enough, figures that add up, seeds side by side."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cli.judged import bundle
from evenkeel.artifacts import read
from evenkeel.errors import DataError, NotReadyError
from evenkeel.market import panel as panels
from evenkeel.research import evaluate_policy, exams
from evenkeel.research.evaluate_policy import Wish, spread, worth
from evenkeel.research.exams import Exam
from evenkeel.research.lessons import World
from evenkeel.units import YEAR_S
from laws import world as laws
from research.conftest import START

HOUR, DAY = 3_600, 86_400
UNTIL = START + 60 * DAY


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    """Two seeds, taught on the first sixty days in windows of a day."""
    return evaluate_policy.load(bundle(tmp_path_factory.mktemp("models"), until=UNTIL), HOUR)


def rules(panel):
    pairs = {pair.asset: pair for pair in laws.PAIRS}
    return World(replace(laws.RULES, pairs=tuple(pairs[asset] for asset in panel.assets)), laws.SIGNALS)


def wish(**given):
    return replace(Wish(UNTIL + 2 * DAY, 2**60, 1, (), (1_000.0,)), **given)


def desk(cast, market, **given):
    return evaluate_policy.desk(cast, market, rules(market), wish(**given))


def test_no_book_sees_what_was_taught(cast, market):
    """Not even where an earlier beginning is wished for: a window and a bar lie between."""
    found = desk(cast, market, since=0)

    assert int(found.tape.time[0]) == cast.model.valid_from == UNTIL + 25 * HOUR
    assert found.lesson.bars == 24


def test_windows_lie_denser_until_there_are_enough(cast, market):
    few, many = (desk(cast, market, episodes=n, symbols=("ETH",)).where.row for n in (1, 300))

    assert set(np.diff(few)) == {18}
    assert len(many) >= 300
    assert len(set(np.diff(many))) == 1
    with pytest.raises(DataError, match="9000 are asked for"):
        desk(cast, market, episodes=9_000, symbols=("ETH",))
    with pytest.raises(DataError, match="0 episodes"):
        desk(cast, market, episodes=0)


def test_data_that_end_too_early_are_not_judged(cast, market):
    with pytest.raises(NotReadyError, match="load later bars"):
        desk(cast, panels.until(market, UNTIL))


def test_what_is_observed_is_what_a_run_over_all_bars_observes(cast, market):
    """Cutting the period keeps every bit of it."""
    whole, late = desk(cast, market), desk(cast, market, since=UNTIL + 20 * DAY)
    cut = len(whole.tape.time) - len(late.tape.time)

    np.testing.assert_array_equal(whole.market[cut:], late.market)
    np.testing.assert_array_equal(whole.regime[cut:], late.regime)


def test_an_exam_counts_what_is_traded_and_what_is_not_believed(cast, market):
    room = desk(cast, market, symbols=("BTC", "ETH"))
    silent = exams.sit(room, lambda seen, *_: np.full(len(seen), np.nan), (1_000.0,))
    held = exams.sit(room, exams.hold, (1_000.0,))

    assert silent.doubtful.min() == room.lesson.bars
    assert not silent.moved.any()
    assert not held.doubtful.any()
    assert held.moved.min() > 0.9
    assert worth(silent, 24, HOUR).doubtful == 1.0
    assert worth(held, 24, HOUR).turnover == pytest.approx(held.moved.mean() * YEAR_S / DAY)


def test_figures_are_those_of_the_average_book():
    time = HOUR * np.arange(1, 5)
    net, matched = np.array([[0.02, 0.04, -0.02, 0.02]]), np.array([[0.01, 0.0, 0.0, 0.0]])
    exam = Exam(
        time, (1_000.0,), np.array([[1, 2, 1, 1]]), net, matched, np.array([[True, False]]), np.array([[1.0, 3.0]]),
        np.array([[0, 2]]),
    )  # fmt: skip

    found = worth(exam, 2, HOUR)

    assert found.net_return == pytest.approx(math.exp(0.04) - 1)
    assert found.active_return == pytest.approx(math.exp(0.04) - math.exp(0.01))
    assert found.win_rate == 0.5
    assert found.turnover == pytest.approx(2.0 * YEAR_S / (2 * HOUR))
    assert found.doubtful == 0.5
    assert found.to_json().keys() == set(found.__dataclass_fields__)


def test_the_spread_of_seeds_is_median_and_quartiles():
    rows = [{"sharpe": float(x)} for x in (5, 1, 3, 2, 4)]

    assert spread(rows) == {"sharpe": {"low": 2.0, "median": 3.0, "high": 4.0}}
    assert spread([*rows[:1], {"sharpe": None}]) == {"sharpe": {"low": 5.0, "median": 5.0, "high": 5.0}}
    assert spread([{"sharpe": None}]) == {"sharpe": {"low": None, "median": None, "high": None}}


def test_a_seed_alone_is_the_model_only_where_it_is_all_of_it(tmp_path):
    """What a run would serve keeps its digest, so that the back-test of both is one try."""
    plain = evaluate_policy.load(bundle(tmp_path, until=UNTIL), HOUR)
    mixed = evaluate_policy.load(bundle(tmp_path, "v2", until=UNTIL, specialists=("down",)), HOUR)

    assert plain.alone("seed 3").digest == plain.model.digest
    assert plain.alone("seed 4").digest == read(tmp_path / "policy" / "v1", "policy").manifest["files"]["seed_4.json"]
    assert mixed.alone("seed 3").digest != mixed.model.digest
    assert set(evaluate_policy.players(mixed, router=True)) == {"seed 3", "seed 4", "routed"}
    assert set(evaluate_policy.players(plain, router=True)) == {"seed 3", "seed 4"}


def test_a_bar_without_evidence_has_no_strength(cast, tmp_path):
    other = evaluate_policy.load(bundle(tmp_path, until=UNTIL), 1_800)

    assert (cast.served, other.served) == (True, False)
    assert other.model.strength == 0.0
    assert other.model.valid_from == UNTIL + 24 * HOUR + 1_800
