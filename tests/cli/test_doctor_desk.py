"""doctor in a home where a Kalshi desk has run: damage is found, what loses nothing is repaired, the desk goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from desk.world import opened, served
from evenkeel.desk.ledger import Ledger
from evenkeel.store import Lock, Store, peek
from evenkeel.types import Identity, Memory

KEPT = Path("data") / "paper"


@pytest.fixture(scope="module")
def at_work(tmp_path_factory):
    """A desk that has had three turns on paper, its venue still there."""
    home = tmp_path_factory.mktemp("traded") / "home"
    with served() as (url, box):
        with opened(home, url, box.clock.now) as made:
            for _ in range(3):
                now = int(box.clock.now()) // 60 * 60
                made.desk.turn(now)
                box.clock.set(now + 301)
        yield home, url, box


@pytest.fixture
def traded(at_work, tmp_path):
    """A copy that the test may harm, with its own place of files."""
    home, url, _ = at_work
    copy = Path(shutil.copytree(home, tmp_path / "traded"))
    store = Store.open(
        copy, Identity("kalshi-paper", "test", "real", url), now=lambda: 1, of="kalshi.json", kind=Ledger
    )
    store.load()
    store.commit(
        lambda now: replace(now, files={name.replace(str(home), str(copy)): t for name, t in now.files.items()})
    )
    return copy


@pytest.fixture
def look(run, traded, at_work):
    """`doctor WORDS --json` with the desk's Kalshi configured; -> the document, and the lines about the desk."""

    def asked(*words, url=None):
        given = ["--set", f"kalshi.url={url or at_work[1]}"]
        done = run(traded, "doctor", *words, *given, "--json")
        assert "Traceback" not in done.err
        return done, [(c["status"], c["text"]) for c in done.json["checks"] if c["name"] == "kalshi"]

    return asked


def _wound(home: Path, name: str, share: float) -> None:
    path = home / "state" / name
    raw = path.read_bytes()
    path.unlink()  # generations are hard links
    path.write_bytes(raw[: int(len(raw) * share)])


def test_a_whole_desk_is_well_and_a_home_without_one_gets_no_line(look, run, tmp_path):
    _, lines = look()
    without = run(tmp_path, "doctor", "--json").json["checks"]

    assert [status for status, _ in lines] == ["ok", "ok"]
    assert not [check for check in without if check["name"] == "kalshi"]


def test_a_torn_state_is_previewed_set_aside_and_the_desk_goes_on(look, traded, at_work):
    """The preview moves nothing; afterwards the older generation counts and the venue is believed."""
    _, url, box = at_work
    _wound(traded, "kalshi.json", 0.5)
    (traded / "state" / "kalshi.json.tmp").write_bytes(b"{")
    before = {path: path.read_bytes() for path in (traded / "state").iterdir() if path.is_file()}

    shown, lines = look("--fix")
    same = all(path.read_bytes() == raw for path, raw in before.items())
    done, after = look("--fix", "--yes")
    with opened(traded, url, box.clock.now) as made:
        said = [made.desk.turn(int(box.clock.now()) + n) for n in (0, 1)]

    assert (shown.code, shown.json["done"], same) == (5, False, True)
    assert [text.startswith("damaged: kalshi.json (") for status, text in lines if status == "warn"] == [True]
    assert {one["name"] for one in done.json["repairs"]} >= {"kalshi", "leftover"}
    assert [status for status, _ in after] == ["ok", "ok"]
    assert (traded / "state" / "quarantine" / "kalshi.json").exists()
    assert not (traded / "state" / "kalshi.json.tmp").exists()
    assert said[-1] == "done"


def test_without_a_whole_state_a_person_decides(look, traded):
    for path in [*(traded / "state").glob("kalshi.json*")]:
        _wound(traded, path.name, 0.5)

    alone, lines = look("--fix", "--yes")
    still = (traded / "state" / "kalshi.json").exists()
    look("--fix", "--cold-start", "--yes")

    assert alone.code == 1
    assert lines[0][0] == "fail"
    assert still
    assert peek(traded, "kalshi.json", Ledger).memory is None


def test_a_foreign_state_is_told_and_never_touched(look, traded):
    """The rebalancer's own put under the desk's name, and one of another Kalshi."""
    _, other = look(url="http://127.0.0.1:9/elsewhere")
    for path in (traded / "state").glob("kalshi.json*"):
        path.unlink()
    store = Store.open(traded, Identity("paper", "main", "real", ""), now=lambda: 1)
    store.begin(Memory(store.identity, 1))
    (traded / "state" / "state.json").rename(traded / "state" / "kalshi.json")
    raw = (traded / "state" / "kalshi.json").read_bytes()
    done, lines = look("--fix", "--yes")

    assert [status for status, text in other if "configured is http://127.0.0.1:9/elsewhere" in text] == ["warn"]
    assert done.code == 1
    assert lines[0][0] == "fail"
    assert (traded / "state" / "kalshi.json").read_bytes() == raw


def test_lost_and_strange_rows_of_its_files_are_told(look, traded):
    """Cut short: the desk would not go on. Longer: what it did not write goes at its next start."""
    trades, equity = (traded / KEPT / name for name in ("trades.csv", "equity.csv"))
    equity.write_bytes(equity.read_bytes()[:10])
    with trades.open("a") as file:
        file.write("by hand\n")
    done, lines = look()
    told = {text.partition(" ")[0]: status for status, text in lines if ".csv" in text}

    assert done.code == 1
    assert told == {str(equity): "fail", str(trades): "warn"}


def test_a_damaged_journal_is_set_aside_and_a_damaged_account_is_a_persons(look, traded):
    for name in ("kalshi-journal.db", "kalshi-paper.db"):
        for suffix in ("-wal", "-shm"):
            (traded / "state" / f"{name}{suffix}").unlink(missing_ok=True)
        (traded / "state" / name).write_bytes(b"no database" * 1_000)
    done, lines = look("--fix", "--yes")

    assert done.code == 1
    assert (traded / "state" / "quarantine" / "kalshi-journal.db").exists()
    assert (traded / "state" / "kalshi-paper.db").exists()
    assert [status for status, text in lines if "account on paper" in text] == ["fail"]


def test_what_venue_and_person_settle_is_only_shown(look, traded, at_work):
    store = Store.open(traded, Identity("kalshi-paper", "test", "real", at_work[1]), now=lambda: 1, of="kalshi.json",
                       kind=Ledger)  # fmt: skip
    store.load()
    store.commit(lambda now: replace(now, quarantined={"A-1": "ALIKE"}, flows=Decimal(0)))
    done, lines = look("--fix", "--yes")

    assert done.code == 5
    assert ("warn", "A-1 is quarantined: ALIKE") in lines
    assert peek(traded, "kalshi.json", Ledger).memory.quarantined == {"A-1": "ALIKE"}


def test_the_home_of_a_running_desk_is_left_alone(run, look, traded):
    """Exit 75, for the preview too; looking is allowed."""
    _wound(traded, "kalshi.json", 0.5)
    with Lock(traded, "kalshi.lock"):
        codes = [run(traded, "doctor", "--fix", *words).code for words in ([], ["--yes"])]
        looked, _ = look()

    assert codes == [75, 75]
    assert looked.code == 5
