"""doctor: every damage is found, nothing is touched."""

from __future__ import annotations

import sqlite3

import pytest

from evenkeel import store


def _status(document, name):
    return next(check["status"] for check in document["checks"] if check["name"] == name)


def test_a_whole_home_is_well(run, played, fingerprint):
    """A model of each opinion is shipped; looking changes nothing."""
    before = fingerprint(played)

    said = run(played, "doctor", "--json")

    assert said.code == 0
    assert {check["status"] for check in said.json["checks"]} == {"ok"}
    assert [c["text"].split()[0] for c in said.json["checks"] if c["name"] == "models"] == ["alpha", "policy", "edge"]
    assert fingerprint(played) == before


def test_where_no_model_is_shipped_it_warns_of_each(run, played, monkeypatch):
    monkeypatch.setattr("evenkeel.config.shipped", lambda: played / "nothing")

    said = run(played, "doctor", "--json")

    assert said.code == 5
    assert said.json["status"] == "warn"
    assert {check["name"] for check in said.json["checks"] if check["status"] != "ok"} == {"models"}
    assert all(check["advice"] for check in said.json["checks"] if check["status"] != "ok")


def test_without_missing_models_all_is_well(run, played, monkeypatch):
    monkeypatch.setattr("evenkeel.config.shipped", lambda: played / "nothing")
    off = [word for name in ("alpha", "policy", "edge") for word in ("--set", f"opinions.{name}=false")]

    assert run(played, "doctor", *off).code == 0


def test_a_damaged_state_is_a_warning_while_an_older_one_is_whole(run, played):
    (played / "state" / "state.json").write_bytes(b"{")

    said = run(played, "doctor", "--json")

    assert said.code == 5
    assert _status(said.json, "state") == "warn"


def test_no_whole_state_fails(run, played):
    for path in (played / "state").glob("state.json*"):
        path.write_bytes(b"{")

    said = run(played, "doctor", "--json")

    assert said.code == 1
    assert _status(said.json, "state") == "fail"
    assert "Traceback" not in said.err


def test_a_changed_audit_row_fails(run, played):
    with sqlite3.connect(played / "state" / "journal.db") as connection:
        connection.execute("UPDATE audit SET detail = '{}' WHERE sequence = 5")

    said = run(played, "doctor", "--json")

    assert said.code == 1
    assert _status(said.json, "audit") == "fail"


def test_a_damaged_journal_fails(run, played):
    for suffix in ("-wal", "-shm"):
        (played / "state" / f"journal.db{suffix}").unlink(missing_ok=True)
    (played / "state" / "journal.db").write_bytes(b"not a database" * 1000)

    assert _status(run(played, "doctor", "--json").json, "journal") == "fail"


def test_halt_quarantine_and_waiting_commands_are_told(run, played):
    store.set_halt(played, "storm", wall_time=0.0)
    store.send(played, "reduce", "test", wall_time=0.0)
    (played / "state" / "quarantine").mkdir()
    (played / "state" / "quarantine" / "state.json.9").write_bytes(b"{")

    document = run(played, "doctor", "--json").json

    assert [_status(document, name) for name in ("halt", "commands", "quarantine")] == ["warn"] * 3


@pytest.mark.parametrize(
    "words", [("--set", "overlay.vol_targt=1"), ("--set", "feed.kind=archive"), ("--config", "no.yaml")]
)
def test_wrong_or_unmet_configuration_is_a_finding(run, played, words):
    said = run(played, "doctor", *words, "--json")

    assert said.code == 1
    assert said.err == ""


def test_a_home_that_is_not_there_fails(run, tmp_path):
    assert run(tmp_path / "none", "doctor", "--json").code == 1
