"""halt, reduce, resume, flatten: files for the service, and a preview before anything is sold."""

from __future__ import annotations

import pytest

from evenkeel import store


def test_halt_sets_the_marker_and_sends_the_command(run, played):
    said = run(played, "halt", "--reason", "storm", "--json")

    assert said.code == 0
    assert not said.json["running"]
    assert "next start" in said.json["note"]
    assert store.halt_reason(played) == "storm"
    assert [command.command for command in store.pending(played).commands] == ["halt"]
    assert run(played, "status", "--json").json["halt"] == {"set": True, "reason": "storm"}
    assert run(played, "status", "--check").code == 5


@pytest.mark.parametrize("command", ["reduce", "resume"])
def test_reduce_and_resume_are_commands(run, played, command):
    said = run(played, command, "--reason", "test")

    assert said.code == 0
    assert said.out.count("\n") == 1
    assert [(c.command, c.reason) for c in store.pending(played).commands] == [(command, "test")]
    assert not store.halted(played)


def test_flatten_previews(run, played, fingerprint):
    before = fingerprint(played)

    document = run(played, "flatten", "--reason", "test", "--json").json

    assert document["done"] is False
    assert set(document["positions"][0]) == {"asset", "units", "value", "expected_cost"}
    assert 0 < document["expected_cost"] < 0.02 * document["value"]
    assert fingerprint(played) == before


def test_flatten_with_yes_is_sent(run, played):
    said = run(played, "flatten", "--reason", "test", "--yes", "--json")

    assert said.json["done"]
    assert [c.command for c in store.pending(played).commands] == ["flatten"]


def test_flatten_under_halt_is_refused(run, played):
    store.set_halt(played, "test", wall_time=0.0)

    said = run(played, "flatten", "--reason", "test", "--yes")

    assert said.code == 3
    assert store.pending(played).commands == ()


@pytest.mark.parametrize("command", ["halt", "reduce", "resume", "flatten"])
def test_a_home_where_nothing_ran_is_refused(run, tmp_path, command):
    """A HALT in the wrong folder would stop nothing."""
    said = run(tmp_path, command, "--reason", "test")

    assert said.code == 3
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_reason_is_wanted(run, played):
    assert run(played, "halt").code == 2
    assert run(played, "halt", "--reason", " ").code == 2
    assert not store.halted(played)
