"""Fitted models of event contracts: served as they were fitted, judged out of time, bundled, refused when wrong."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import orjson
import pytest

from evenkeel import artifacts
from evenkeel.errors import ArtifactError, EvidenceError
from evenkeel.events import ensemble, fitted
from evenkeel.events.calibration import Curve
from evenkeel.events.stake import UNPROVEN
from evenkeel.research.kalshi import bundle, source, study_games, study_ladders
from evenkeel.research.kalshi.fit_ensemble import Settings
from research import kalshi_files as files

QUICK = Settings(logistic=(1.0,), forest=(0.05,), boosting=(25,), trees=10)
NOW = 1_795_000_000


@pytest.fixture(scope="module")
def game_source(tmp_path_factory):
    return source.read(*files.games(tmp_path_factory.mktemp("games"), count=200))


@pytest.fixture(scope="module")
def ladder_source(tmp_path_factory):
    return source.read(files.ladders(tmp_path_factory.mktemp("ladders"), hours=60), None)


@pytest.fixture(scope="module")
def ladder_study(ladder_source):
    return ladder_source.study(None, 7, QUICK)


@pytest.fixture(scope="module")
def game_study(game_source):
    return game_source.study(None, 7, QUICK)


@pytest.fixture(scope="module")
def quarter_source(tmp_path_factory):
    return source.read(files.quarters(tmp_path_factory.mktemp("quarters"), markets=90, rows=6), None)


@pytest.fixture(scope="module")
def quarter_study(quarter_source):
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    return quarter_source.study(None, 7, QUICK)


# ---------------------------------------------------------------- the ensemble


def test_what_is_served_is_what_scikit_learn_fitted():
    """Members walked in numpy against predict_proba: near, far outside of training, and beside every threshold."""
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    from evenkeel.research.kalshi import fit_ensemble
    from evenkeel.research.kalshi.settled import Settled

    rng = np.random.default_rng(1)
    close = 1_000_000 + 900 * np.repeat(np.arange(60), 5)
    name, y = close.astype(np.str_), (rng.random(300) < 0.5).astype(float)
    rows = Settled(name, name, name, name, close - 300, close, y * 0, y * 0 + 1, y)
    x = rng.standard_normal((300, 4))

    made = fit_ensemble.fit(x, rows, 3, QUICK)
    edges = [t for one in fit_ensemble.exported(made.members[1])["trees"] for t in one["threshold"]]
    beside = np.outer(np.array(edges), 1 + np.array([-1e-9, 0.0, 1e-9])).ravel()
    asked = np.concatenate([x, 10 * rng.standard_normal((200, 4)), np.tile(beside[:, None], 4)])

    for member in made.members:
        served = ensemble.member(orjson.loads(orjson.dumps(fit_ensemble.exported(member))))
        assert served(asked) == pytest.approx(member(asked), abs=1e-12)
    assert np.ptp(made.each(asked)) > 0.1


def test_inputs_are_of_the_board_alone():
    x = ensemble.inputs(np.array([0.5, 0.8, 1.0, np.nan]), np.full(4, 0.02), np.array([0.0, 0.5, 0.5, 0.5]))

    assert x[0].tolist() == [0, 0.02, 0, 0]
    assert x[1] == pytest.approx([math.log(4), 0.02, 0.5, math.log(4) / 2])
    assert np.isnan(x[2:, 0]).all()


def test_members_that_disagree_make_the_error_larger():
    """The curve's error alone where all say the same; with their standard deviation where they do not."""
    curve = Curve(np.array([0.2, 0.8]), np.array([0.2, 0.8]), np.array([50.0, 50.0]), np.array([0.05, 0.05]))

    p, error = ensemble.corrected(np.array([[0.5, 0.4], [0.5, 0.5], [0.5, 0.6]]), curve)

    assert p == pytest.approx([0.5, 0.5])
    assert error == pytest.approx([0.05, math.hypot(0.05, 0.1)])


def test_an_ensemble_learns_a_planted_bias_and_claims_none_where_there_is_none(tmp_path, quarter_study):
    """Prices whose log odds should be six times as far out are beaten out of time; right prices are not."""
    wrong = source.read(files.quarters(tmp_path, markets=400, rows=2, slope=6.0), None).study(None, 7, QUICK)

    assert wrong.judgement.words.startswith("the model beats the market price")
    assert not quarter_study.judgement.words.startswith("the model beats")


def test_columns_that_training_mostly_lacks_are_dropped_and_said(quarter_study):
    assert quarter_study.words[0] == "dropped, more than half missing in training: f_spot_ratio, f_spot_edge, f_tape"
    assert quarter_study.facts["file_inputs"] == ["f_trade_rate"]


def test_a_planted_split_by_rows_wins_and_is_refused(quarter_source):
    """A number of each market's own is recognised across a random split, and says nothing across time."""
    pytest.importorskip("sklearn", reason="training needs the [train] extra")
    from evenkeel.research.kalshi import study_quarters

    with pytest.raises(EvidenceError, match=r"the model beats the market price.*on both sides of the split"):
        study_quarters.planted(quarter_source.content, 7, QUICK)


# ---------------------------------------------------------------- the calibration


def test_a_calibration_is_judged_on_later_games_only(game_study):
    """No game that it learned from is judged; all others are, where the curve reaches."""
    learned, judged = game_study.facts["learned_from"], game_study.facts["judged_on"]

    assert learned + judged == 200
    assert abs(learned - judged) <= 4
    assert game_study.judgement.scores.rows <= judged
    assert sum(game_study.model["curves"][0]["count"]) == pytest.approx(learned)


def test_a_planted_longshot_bias_is_named_corrected_and_earned(tmp_path):
    """Log odds four times as far out as the price says: the slope shows it, and the calibration beats the price."""
    found = source.read(*files.games(tmp_path, count=1000, slope=4.0, a_day=10)).study(None, 7, QUICK)

    assert found.words[0].startswith("a longshot bias is shown")
    assert found.judgement.words.startswith("the model beats the market price")
    assert found.judgement.worth[0].earns
    assert "the desk stakes by that" in found.judgement.worth[0].words
    assert found.played[0].profit.value > 0


def test_fair_games_have_no_bias_and_no_bet(game_study):
    assert game_study.words[0].startswith("no longshot bias is shown")
    assert not game_study.judgement.worth[0].earns
    assert [one.bets for one in game_study.played if one.name.startswith("the desk")] == [0]


def test_a_win_rate_is_set_against_what_was_paid(game_study, game_source):
    """Buckets add up to all bets; break-even is price and fee of one contract."""
    from evenkeel.research.kalshi import play

    trades = play.play(game_source.moments(), play.extremes(study_games.FLAT), study_games.BANKROLL).trades
    found = study_games.payoffs(trades, 7)

    assert sum(one["bets"] for one in found) == len(trades) == game_study.played[0].bets
    assert all(one["from"] < one["break_even"] < one["to"] + 0.03 for one in found)
    assert f"of {len(trades)} bets" in study_games.explained(trades)[0]


def test_the_dearest_bets_that_all_won_are_told_with_their_luck(game_source):
    """Every loser taken away: a win rate of 100 %, and the product of the prices as the chance of it."""
    from evenkeel.research.kalshi import play

    trades = play.play(game_source.moments(), play.extremes(study_games.FLAT), study_games.BANKROLL).trades
    won = [one for one in trades if one.won]
    luck = math.exp(sum(math.log(float(one.price)) for one in won))

    assert f"the {len(won)} dearest bets" in study_games.explained(won)[1]
    assert study_games.explained(won)[1].endswith(f"with probability {luck:.2f}")
    assert study_games.explained([one for one in trades if not one.won])[1:] == []

    lost = replace(won[0], outcome=1 - won[0].outcome)
    assert study_games.explained([won[0], won[0], lost])[1:] == [], "wins at the price of a loss are not picked out"


# ---------------------------------------------------------------- bundles


def written(folder, study, src, base=None, version="v1", **more):
    return bundle.write(folder, version, study, src, base, **{"seed": 7, "created": NOW, "days": 90, **more})


def test_training_twice_gives_the_same_bytes(tmp_path, quarter_source, quarter_study):
    again = quarter_source.study(None, 7, QUICK)

    one, two = (written(tmp_path / str(i), study, quarter_source) for i, study in enumerate((quarter_study, again)))

    assert one.digest == two.digest
    assert one.files == two.files


def test_a_part_keeps_the_others_byte_for_byte(tmp_path, ladder_source, ladder_study, game_source, game_study):
    first = written(tmp_path, ladder_study, ladder_source)
    both = written(tmp_path, game_study, game_source, first, version="v2")
    known = fitted.load(both.path)

    assert sorted(both.files) == ["calibration.json", "lognormal.json"]
    assert both.files["lognormal.json"] == first.files["lognormal.json"]
    assert both.manifest["base"]["digest"] == first.digest
    assert [part.name for part in known.parts] == ["lognormal", "calibration"]
    assert known.of("KXBTC", NOW).name == "lognormal"
    assert known.of("KXNBAGAME", NOW).name == "calibration"
    assert known.of("KXHIGHNY", NOW) is None
    assert known.of("KXBTC", NOW).words["KXBTC"] == ladder_study.judgement.worth[0].words


def test_an_expired_part_has_no_skill(tmp_path, game_source, game_study):
    known = fitted.load(written(tmp_path, game_study, game_source).path)
    part, last = known.parts[0], NOW + 90 * 86_400

    assert part.skill_of("KXNBAGAME", last) == game_study.judgement.worth[0].skill
    assert part.skill_of("KXNBAGAME", last + 1) == UNPROVEN
    assert part.skill_of("KXBTC", last) == UNPROVEN


def changed(bundle_, name, change):
    """The bundle with a changed part and digests that fit, as somebody would write it who means harm or errs."""
    said = orjson.loads(bundle_.files[name])
    change(said)
    data = orjson.dumps(said)
    (bundle_.path / name).write_bytes(data)
    manifest = dict(bundle_.manifest)
    manifest["files"] = {**manifest["files"], name: hashlib.sha256(data).hexdigest()}
    blank = {**manifest, "digest": ""}
    manifest["digest"] = hashlib.sha256(orjson.dumps(blank, option=orjson.OPT_SORT_KEYS)).hexdigest()
    (bundle_.path / artifacts.MANIFEST).write_bytes(orjson.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["model"]["curves"][0]["p"].__setitem__(0, 0.001), "golden output"),
        (lambda said: said["model"]["curves"][0]["p"].reverse(), "does not rise"),
        (lambda said: said["model"]["curves"].pop(), "edges of time"),
        (lambda said: said.pop("evidence"), "is no calibration"),
        (lambda said: said["evidence"]["KXNBAGAME"].pop("k"), "is no calibration"),
        (lambda said: said["golden"]["output"].clear(), "golden output"),
        (lambda said: said["golden"].update(input=[], output=[]), "is no calibration"),
    ],
)  # fmt: skip
def test_a_part_whose_numbers_do_not_belong_together_is_refused(tmp_path, game_source, game_study, change, words):
    made = written(tmp_path, game_study, game_source)
    fitted.load(made.path)

    changed(made, "calibration.json", change)

    with pytest.raises(ArtifactError, match=words):
        fitted.load(made.path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model["members"][1]["trees"][0]["left"].__setitem__(0, 0), "do not make one"),
        (lambda model: model["members"][1]["trees"][0]["feature"].__setitem__(0, 9), "do not make one"),
        (lambda model: model["members"][2].__setitem__("rate", 0.06), "golden output"),
        (lambda model: model["members"][0]["coef"].pop(), "has not 4 coefficients"),
        (lambda model: model.__setitem__("features", ["logit"]), "it was fitted on logit"),
        (lambda model: model["members"][0].__setitem__("kind", "pickle"), "is not known"),
    ],
)  # fmt: skip
def test_an_ensemble_that_is_none_is_refused(tmp_path, quarter_source, quarter_study, change, words):
    made = written(tmp_path, quarter_study, quarter_source)
    changed(made, "ensemble.json", lambda said: change(said["model"]))

    with pytest.raises(ArtifactError, match=words):
        fitted.load(made.path)


def test_the_golden_rows_of_a_lognormal_are_replayed(tmp_path, ladder_source, ladder_study):
    made = written(tmp_path, ladder_study, ladder_source)
    assert ladder_study.golden == study_ladders.golden(7)

    changed(made, "lognormal.json", lambda said: said["golden"]["output"][3].__setitem__(0, 0.5))

    with pytest.raises(ArtifactError, match="golden output"):
        fitted.load(made.path)
