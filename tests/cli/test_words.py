"""Words that no command understands: one line that says what is wrong and where the right ones stand."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "policy", "--data", "x", "--episodes", "0"), ("--episodes", "than or equal to 1", "train policy")),
        (("evaluate", "policy", "--model", "x", "--episodes", "0"), ("--episodes", "evenkeel evaluate policy --help")),
        (("stauts",), ("stauts", "Did you mean 'status'", "evenkeel --help")),
        (("run", "--nope"), ("--nope", "evenkeel run --help")),
        (("train", "policy", "--data"), ("--data",)),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line(run, tmp_path, words, said):
    ran = run(tmp_path, *words)

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("evenkeel: ")
    for part in said:
        assert part in ran.err


def test_a_group_without_a_command_shows_its_page(run, tmp_path):
    ran = run(tmp_path, "train")

    assert ran.code == 2
    assert "policy" in ran.out
    assert "alpha" in ran.out
    assert ran.err == ""
