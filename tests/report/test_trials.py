"""The ledger forgets no trial: not the interrupted, not the damaged, not those of before."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from evenkeel.errors import DataError, StateError
from evenkeel.research import trials
from evenkeel.research.trials import Trial
from evenkeel.units import DAY_S, utc

DAY = utc("2025-01-01")


def made(number, family="alpha"):
    digest = f"digest{number}"
    return Trial(trials.trial_id(family, digest, DAY), family, digest, DAY, "walkforward", created=DAY + number)


def days(count, start=DAY):
    return start + DAY_S * np.arange(count, dtype=np.int64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "trials.jsonl"


def test_what_is_entered_is_read(path):
    returns = np.random.default_rng(0).standard_normal(30)
    entered = trials.finish(path, trials.begin(path, made(1)), days(30), returns)
    got = trials.read(path)

    assert got.trials == (entered,)
    assert got.damaged == 0
    assert np.array_equal(got.trials[0].daily()[1], returns)
    assert got.trials[0].daily()[0].tolist() == days(30).tolist()


def test_days_without_a_return_stay_unknown(path):
    """A gap is neither zero nor closed up."""
    entered = trials.finish(path, made(1), days(5)[[0, 1, 4]], np.array([0.1, np.nan, 0.2]))

    assert entered.returns == (0.1, None, None, None, 0.2)
    assert trials.read(path).trials[0].daily()[0].tolist() == [DAY, DAY + 4 * DAY_S]


def test_a_trial_begun_and_never_finished_counts(path):
    trials.begin(path, made(1))
    trials.finish(path, trials.begin(path, made(2)), days(3), np.zeros(3))
    trials.interrupt(path, trials.begin(path, made(3)), "ctrl-c")
    got = trials.count(trials.read(path), ["alpha"])

    assert (got.trials, got.interrupted, got.measured) == (3, 2, 0)


def test_a_killed_writer_leaves_its_trial(path):
    """Kill -9 right after `begin`: the line is on the disk."""
    code = (
        "import os, sys; from pathlib import Path; from evenkeel.research import trials as t\n"
        "t.begin(Path(sys.argv[1]), t.Trial('x', 'alpha', 'd', 0, 'c', 0)); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert trials.count(trials.read(path), ["alpha"]).interrupted == 1


def test_running_the_same_again_is_no_new_trial(path):
    for _ in range(3):
        trials.finish(path, trials.begin(path, made(1)), days(3), np.array([0.1, 0.2, 0.4]))
    trials.begin(path, made(1))
    got = trials.read(path).trials

    assert len(got) == 1
    assert got[0].status == "finished"


def test_a_torn_line_counts_and_does_not_swallow_the_next(path):
    trials.begin(path, made(1))
    path.write_bytes(path.read_bytes() + b'{"id": "half')
    trials.begin(path, made(2))
    ledger = trials.read(path)

    assert len(ledger.trials) == 2
    assert ledger.damaged == 1
    assert trials.count(ledger, ["alpha"]).trials == 3
    assert trials.count(ledger, ["other"]).trials == 1


@pytest.mark.parametrize("line", ["[]", "7", '{"id": 1}', '{"unknown": 1}', '{"id":"a","family":"f"}', "\ufffd"])
def test_nonsense_is_damage(path, line):
    trials.begin(path, made(1))
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")

    assert trials.read(path).damaged == 1


def test_families_are_counted_apart_and_together(path):
    trials.begin(path, made(1, "alpha"))
    trials.begin(path, made(1, "policy"))
    trials.enter_first_look(path)
    ledger = trials.read(path)

    assert trials.count(ledger, ["alpha"]).trials == 1
    assert trials.count(ledger, ["alpha", "policy", "review"]).trials == 87


def test_the_first_look_is_85_trials_entered_once(path):
    trials.enter_first_look(path)
    before = path.read_bytes()
    trials.enter_first_look(path)
    got = trials.count(trials.read(path), ["review"])

    assert path.read_bytes() == before
    assert (got.trials, got.interrupted, got.variance, got.measured) == (85, 0, None, 0)
    assert all(trial.data_end == utc("2025-10-31") and not trial.returns for trial in trials.read(path).trials)


def test_the_variance_is_that_of_the_sharpe_ratios(path):
    rng = np.random.default_rng(1)
    rows, bench = rng.standard_normal((5, 200)), rng.standard_normal(200)
    for number, row in enumerate(rows):
        trials.finish(path, made(number), days(200), row)
    ledger = trials.read(path)

    plain = rows.mean(axis=1) / rows.std(axis=1, ddof=1)
    assert np.isclose(trials.count(ledger, ["alpha"]).variance, np.var(plain, ddof=1))
    less = rows[:, 50:] - bench[50:]
    active = less.mean(axis=1) / less.std(axis=1, ddof=1)
    got = trials.count(ledger, ["alpha"], (days(200)[50:], bench[50:]))
    assert np.isclose(got.variance, np.var(active, ddof=1))


def test_the_table_holds_the_days_of_all(path):
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((2, 10))
    trials.finish(path, made(1), days(10), first)
    trials.finish(path, made(2), days(10, DAY + 3 * DAY_S), second)
    trials.begin(path, made(3))
    shared, returns = trials.table(trials.read(path), ["alpha"])

    assert shared.tolist() == days(7, DAY + 3 * DAY_S).tolist()
    assert np.array_equal(returns, np.column_stack([first[3:], second[:7]]))
    assert trials.table(trials.read(path), ["none"])[1].shape == (0, 0)


def test_writers_at_once_lose_no_line(path):
    code = (
        "import sys; from pathlib import Path; from evenkeel.research import trials as t\n"
        "for n in range(40): t.begin(Path(sys.argv[1]), t.Trial(f'{sys.argv[2]}-{n}', 'alpha', 'd', 0, 'c' * 5000, 0))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(w)]) for w in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    assert len(trials.read(path).trials) == 120


def test_a_disk_that_refuses_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot write the trial ledger"):
        trials.begin(tmp_path / "file" / "trials.jsonl", made(1))
    os.mkdir(tmp_path / "folder")  # noqa: PTH102 - a folder where the file should be
    with pytest.raises(StateError, match="cannot read"):
        trials.read(tmp_path / "folder")


def test_no_trial_without_name_or_with_an_unknown_status():
    with pytest.raises(ValueError, match="status"):
        Trial("a", "f", "", 0, "", 0, status="maybe")
    with pytest.raises(ValueError, match="family ''"):
        Trial("a", "", "", 0, "", 0)


def test_a_run_is_judged_by_everything_tried(path):
    """The same lead: believed as the only try, not as one of many whose ratios differ widely."""
    rng = np.random.default_rng(3)
    time = DAY_S * np.arange(401, dtype=np.int64) + DAY
    other = 0.01 * rng.standard_normal(400)
    lead = other + 0.0009 + 0.006 * rng.standard_normal(400)
    curves = [(time, 100.0 * np.cumprod(np.concatenate([[1.0], 1.0 + row]))) for row in (lead, other)]
    trials.finish(path, trials.begin(path, made(0)), time[:-1], lead)
    alone = trials.judge(trials.read(path), ["alpha"], curves[0], {"a": curves[1]}, np.random.default_rng(0))
    for number in range(1, 60):
        wild = other + rng.normal(0, 0.002) + 0.006 * rng.standard_normal(400)
        trials.finish(path, trials.begin(path, made(number)), time[:-1], wild)
    trials.enter_first_look(path)
    families = ["alpha", "review"]
    among = trials.judge(trials.read(path), families, curves[0], {"a": curves[1]}, np.random.default_rng(0))

    assert (alone[0].word, alone[0].deflated.trials) == ("beats", 1)
    assert (among[0].word, among[0].deflated.trials) == ("not distinguishable", 145)
    assert among[0].deflated.measured
    assert among[0].intervals == alone[0].intervals


def test_families_without_a_trial_judge_nothing(path):
    curve = (DAY_S * np.arange(100, dtype=np.int64), np.linspace(1.0, 2.0, 100))
    with pytest.raises(DataError, match="ledger"):
        trials.judge(trials.read(path), ["alpha"], curve, {"a": curve}, np.random.default_rng(0))
