"""Parity: a recorded run is what the back-test decides, and a difference is named by the stage in which it arose."""

import contextlib
import shutil
import sqlite3
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import fitted
import numpy as np
import orjson
import pytest
import world

from evenkeel.engine.replay import Replay
from evenkeel.errors import NotReadyError
from evenkeel.journal import recent
from evenkeel.research import parity
from evenkeel.research.stages import STAGES
from evenkeel.service import loop
from evenkeel.store import send
from evenkeel.types import Brain

DAYS = 0.75


def record(home, feed, *, days=DAYS, spoken=()):
    """A run through store, intents, journal and paper account; `spoken` (share of it, command) interrupt it."""
    with world.service(home, feed, lambda path: world.venue(feed, path)) as runner:
        for share, word in (*spoken, (1.0, None)):
            end = world.START + round(share * days * world.DAY)
            loop.replay(runner, world.START, end, world.CADENCE, stop=threading.Event())
            if word is not None:
                send(home, word, reason="test", wall_time=0.0, by="test")
    return home / "state" / "journal.db"


def parts(feed, rules=world.RULES):
    """What its back-test is made of."""
    return parity.Parts(feed, world.START, Brain(), rules, world.CADENCE, world.memory(), Decimal(100_000))


@pytest.fixture(scope="module")
def speaking():
    """The small world with a fitted alpha."""
    return Replay(world.judged(fitted.brain()))


@pytest.fixture(scope="module")
def original(tmp_path_factory, speaking):
    """The journal of three quarters of a day, with an alpha that decides."""
    return record(tmp_path_factory.mktemp("recorded"), speaking)


@pytest.fixture
def journal(original, tmp_path):
    """A copy that a test may harm."""
    return Path(shutil.copy(original, tmp_path / "journal.db"))


def decided(journal):
    """Decisions whose book was recorded."""
    return [row for row in recent(journal, "plans", limit=1000) if row["book"] != "{}"]


def edit(journal, statement):
    """Change the record by hand; at least one row."""
    with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_a_recorded_run_is_decided_again_alike(original, speaking):
    """Every value of every stage, the memory before each decision, and every fill to the last digit."""
    found = parity.compare(original, parts(speaking))

    assert found.difference is None
    assert found.slots == found.decisions == len(world.window(DAYS))
    assert found.orders >= len(found.fill_bps) > 5
    assert set(found.fill_bps) == {0.0}
    assert all(found.values[stage] > 20 for stage in STAGES)


@pytest.mark.parametrize(
    ("statement", "stage", "named"),
    [
        ("UPDATE slots SET outcome = 'skipped', reason = 'no_new_bar' WHERE sequence = 30", "slots", "outcome"),
        ("DELETE FROM slots WHERE sequence = 30", "slots", "the slot before it"),
        ("UPDATE plans SET as_of = as_of - 1800 WHERE sequence = 30", "features", "as_of"),
        ("UPDATE targets SET price = price * 1.0000001 WHERE asset = 'BTC'", "features", "price of BTC"),
        ("UPDATE plans SET plan = replace(plan, 'v1 ddd', 'v2 ddd')", "features", "opinions.alpha.version"),
        ("""UPDATE plans SET book = replace(book, '"drawdown_scale":1.0', '"drawdown_scale":0.5')""", "book", "scale"),
        ("UPDATE plans SET plan = replace(plan, '\"regime\":\"', '\"regime\":\"x')", "scores", "regime"),
        ("UPDATE targets SET score = score + 1e-15", "scores", "score of"),
        ("UPDATE targets SET raw = raw + 1e-15 WHERE raw > 0", "raw weights", "raw of"),
        ("UPDATE targets SET weight = weight * 0.5 WHERE weight > 0", "target weights", "weight of"),
        ("UPDATE orders SET quantity = quantity || '1' WHERE leg = 1", "orders", "quantity of order 1"),
        ("DELETE FROM orders WHERE leg = 0", "orders", "id of order 0"),
        ("UPDATE fills SET price = price * 1.0001", "fills", "price of fill"),
    ],
)  # fmt: skip
def test_an_edited_record_is_found_and_its_stage_named(journal, speaking, statement, stage, named):
    edit(journal, statement)

    found = parity.compare(journal, parts(speaking)).difference

    assert (found.stage, named in found.what) == (stage, True), found
    assert found.sentence().startswith(f"{stage}: {found.what} of ")


class Nudged:
    """A feed of which one feature of one asset, or of the market, is one unit in the last place higher."""

    def __init__(self, feed, name, at):
        self.feed, self.name, self.at = feed, name, at

    def __getattr__(self, name):
        return getattr(self.feed, name)

    def view(self, time, since):
        """What the feed shows."""
        view = self.feed.view(time, since)
        changed = getattr(view, self.name).copy()
        changed[self.at] = np.nextafter(changed[self.at], np.inf)
        return replace(view, **{self.name: changed})


@pytest.mark.parametrize(("name", "at"), [("features", (3, 5)), ("market", -1)])
def test_a_feature_that_nobody_minds_is_named_all_the_same(original, speaking, name, at):
    """No price, opinion, score or order changes by it: only the digest of what was seen."""
    found = parity.compare(original, parts(Nudged(speaking, name, at)))

    assert (found.difference.stage, found.difference.what) == ("features", "inputs.features")
    assert found.difference.slot.startswith("rebalance@")
    assert len(found.difference.recorded) == 16


def test_how_far_fills_are_apart_is_said_in_bps(journal, speaking):
    edit(journal, "UPDATE fills SET price = price / 1.0001")

    found = parity.compare(journal, parts(speaking))

    assert max(map(abs, found.fill_bps)) == pytest.approx(1.0, abs=0.01)


def test_other_rules_are_found_where_they_take_effect(original, speaking):
    """Tighter caps change what is allocated; a higher fee only what was paid."""
    caps = replace(world.RULES, allocate=replace(world.RULES.allocate, cash_buffer=0.2))
    fees = replace(world.RULES, costs=replace(world.RULES.costs, taker=world.RULES.costs.taker + 1.0))

    assert parity.compare(original, parts(speaking, caps)).difference.stage == "raw weights"
    assert parity.compare(original, parts(speaking, fees)).difference.stage in {"orders", "fills"}


def test_another_model_of_the_same_name_is_found_among_the_features(original):
    other = fitted.brain(trained_until=fitted.TRAINED_UNTIL - world.DAY)
    model = replace(other.alpha[0], digest="e" * 64)
    found = parity.compare(original, parts(Replay(world.judged(Brain(alpha=(model,)))))).difference

    assert (found.stage, found.what) == ("features", "opinions.alpha.version")
    assert (found.recorded, found.replayed) == ("v1 dddddddddddd", "v1 eeeeeeeeeeee")


def test_another_model_under_the_same_digest_is_found_in_the_scores(original):
    other = fitted.brain(trained_until=fitted.TRAINED_UNTIL - 2 * world.DAY)

    found = parity.compare(original, parts(Replay(world.judged(other)))).difference

    assert found.stage == "scores" or found.what == "opinions.alpha.reason", found


def test_other_candles_are_found_at_the_first_slot(original):
    found = parity.compare(original, parts(world.feed(seed=8))).difference

    assert found.stage in {"features", "book", "scores"}
    assert found.slot.endswith("2025-07-01T00:00:00Z")


def test_what_a_person_ordered_on_the_way_is_no_difference(tmp_path):
    """Halted, resumed, flattened: the words are taken from the record, what followed is decided again."""
    feed = world.feed()
    spoken = ((0.3, "halt"), (0.5, "resume"), (0.8, "flatten"))
    journal = record(tmp_path, feed, spoken=spoken)
    states = {orjson.loads(row["book"])["memory"]["trading_state"] for row in decided(journal)}
    found = parity.compare(journal, parts(feed))

    assert found.difference is None, found.difference
    assert states == {"ACTIVE", "HALTED", "REDUCING"}
    assert found.orders > 5


def test_a_journal_that_begins_in_the_middle_is_refused(journal, speaking):
    """What came before it was set aside with the damaged file."""
    with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
        for table in ("slots", "plans", "targets", "orders", "fills"):
            connection.execute(f"DELETE FROM {table} WHERE sequence < 40")

    with pytest.raises(NotReadyError, match="what came before is lost"):
        parity.compare(journal, parts(speaking))


def test_an_empty_home_is_not_ready(tmp_path):
    for ask in (parity.recorded_digest, lambda path: parity.compare(path, None)):
        with pytest.raises(NotReadyError, match="run something in this home first"):
            ask(tmp_path / "journal.db")
