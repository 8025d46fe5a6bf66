"""Going live as a user does, against `evenkeel sandbox`: orders arrive; what must be refused is, in one sentence."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from e2e.program import assert_refused, document, evenkeel, log, state, tree
from e2e.venue import ALLOWED, Gossip, Venue, sandbox
from evenkeel.journal import recent

pytestmark = pytest.mark.slow

ONCE = ("run", "--json", "--once")


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One sandbox for all that only ask."""
    with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Venue]:
    """A sandbox of its own, whose account has traded nothing; its keys differ from run to run."""
    with sandbox(tmp_path / "sandbox", "--seed", str(random.SystemRandom().randrange(10**9))) as running:
        yield running


def assert_nothing_begun(home: Path) -> None:
    assert state(home) == {}
    assert not (home / "state" / "journal.db").exists()


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_wrong_credentials_are_refused_before_anything_is_begun(venue: Venue, tmp_path: Path, wrong: str) -> None:
    """The account is asked for first; with the right ones the same home then starts."""
    home = venue.keys(tmp_path / "home", **{wrong: "0" * 64})
    loop = evenkeel(home, "run", "--json", *venue.live(), **ALLOWED, timeout=60)

    assert_refused(loop, 3, "the venue refuses the account", "correct the credentials")
    assert_nothing_begun(home)
    document(evenkeel(venue.keys(home), *ONCE, "risk", *venue.live(), **ALLOWED))


def test_the_live_flag_without_credentials_is_refused(venue: Venue, tmp_path: Path) -> None:
    done = evenkeel(tmp_path / "home", *ONCE, "risk", *venue.live(), **ALLOWED)

    assert_refused(done, 2, "ROOSTOO_API_KEY", "is not set")
    assert not (tmp_path / "home" / "state").exists()


def test_credentials_without_the_live_flag_are_refused(venue: Venue, tmp_path: Path) -> None:
    done = evenkeel(venue.keys(tmp_path / "home"), *ONCE, "risk", *venue.live())

    assert_refused(done, 2, "EVENKEEL_LIVE")


def test_a_venue_that_is_silent_begins_nothing(venue: Venue, tmp_path: Path) -> None:
    home = venue.keys(tmp_path / "home")
    done = evenkeel(home, *ONCE, "risk", *venue.live(url="http://127.0.0.1:9"), **ALLOWED)

    assert_refused(done, 3, "the venue does not answer", "nothing was begun")
    assert_nothing_begun(home)


def test_orders_reach_the_venue_and_nobody_elses_state_is_used(fresh: Venue, tmp_path: Path) -> None:
    """One rebalance: units and cash are the venue's; another account's key does not get at this state."""
    home = fresh.keys(tmp_path / "home")
    done = document(evenkeel(home, *ONCE, "rebalance", *fresh.live(), **ALLOWED))
    wallet = fresh.state()["accounts"]["sandbox"]

    assert done["orders"] > 0
    assert fresh.state()["orders"]
    memory = state(home)["memory"]
    if not memory["open_slots"]:
        held = {coin: Decimal(row["free"]) + Decimal(row["lock"]) for coin, row in wallet.items()}
        ours = {asset: Decimal(row["units"]) for asset, row in memory["positions"].items()}
        assert {"USD": Decimal(memory["cash"]), **ours} == {coin: amount for coin, amount in held.items() if amount}

    before = (home / "state" / "state.json").read_bytes()
    done = evenkeel(fresh.keys(home, key="1" * 64), *ONCE, "risk", *fresh.live(), **ALLOWED)
    assert_refused(done, 3, "belongs to roostoo/", "give this run its own --home")
    assert (home / "state" / "state.json").read_bytes() == before


def test_secrets_appear_nowhere(fresh: Venue, tmp_path: Path) -> None:
    """A venue repeats key, signature and body in refusals and pages: no log, journal, state or stream has them."""
    home, keys = fresh.keys(tmp_path / "home"), (fresh.told["key"], fresh.told["secret"])
    options = fresh.live("logging.level=debug")
    with Gossip(fresh.told["roostoo"]) as gossip:
        options = [word.replace(f"venue.url={fresh.told['roostoo']}", f"venue.url={gossip.url}") for word in options]
        done = [evenkeel(home, *ONCE, "rebalance", *options, **ALLOWED)]
        done += [evenkeel(home, "run", "--duration", "4s", *options, **ALLOWED)]
        heard = " ".join(gossip.heard)
    signatures = set(re.findall(r"[0-9a-f]{64}", heard)) - set(keys)

    assert keys[0] in heard
    assert signatures
    assert [row for row in log(home) if row["event"] in ("order", "slot_left_open")]
    (home / ".env").unlink()
    said = "".join(f"{run.stdout}{run.stderr}" for run in done).encode() + b"".join(tree(home).values())
    assert not [secret for secret in (*keys, *signatures) if secret.encode() in said]
    with closing(sqlite3.connect(home / "state" / "journal.db")) as journal:
        assert not [secret for secret in keys if secret in "\n".join(journal.iterdump())]
    assert recent(home / "state" / "journal.db", "audit", limit=1)
