"""Kill -9 in the middle of orders that are sent over time, then a start: the schedule goes on, nothing is doubled."""

import json
from collections import Counter

import pytest

from evenkeel.engine import parents
from evenkeel.journal import recent
from evenkeel.units import iso
from faults.checker import broken
from faults.clockwork import Crash
from faults.scripted import FIRST, pass_to, placed, rows, sockets
from faults.stage import START

SLOT = "score@2025-07-01T00:30:00Z"
BEGAN = int(FIRST) - START
OVER_S, MAKER_S = 900, 300
"""How long a life's schedules last, and how long a limit order of theirs rests."""


def begun(life, style, named, **changes):
    """A life whose first rebalance has sent the first children of every order; the orders as they were planned."""
    one = life(style=style, named=named, **changes)
    one.boot()
    pass_to(one, BEGAN + 5)
    (step,) = one.memory().open_slots
    return one, parents.of(step)


def killed(one, away_s):
    """Gone at once, and started again after a while."""
    one.points.left = -1
    one.die(Crash("here"))
    one.clock.elapse(away_s)
    one.boot()


def ended(one):
    """The slot's schedules as the journal has them, by order; the units that the venue moved for each."""
    pass_to(one, BEGAN + OVER_S + 60)
    assert {row["slot"]: row["outcome"] for row in rows(one)}[SLOT] == "done"
    plans = recent(one.home / "state" / "journal.db", "plans", limit=1_000, columns=("slot", "plan"))
    told = next(json.loads(row["plan"])["schedules"] for row in plans if row["slot"] == SLOT)
    moved = Counter()
    for trade in one.account.trades():
        moved[trade.tag.rpartition(".")[0]] += trade.units
    return {row["order"]: row for row in told}, moved


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("style", ["limit", "twap", "vwap"])
@pytest.mark.parametrize("place", ["request", "answer"])
def test_killed_while_a_child_is_sent_the_others_go_at_their_times(life, style, named, place):
    """Killed at the socket of a second child: every child is there once, all orders are filled to the last lot."""
    one, planned = begun(life, style, named)
    one.points.aim, one.points.left = f"venue place_order {place}", 2
    with pytest.raises(Crash):
        pass_to(one, BEGAN + OVER_S)
    killed(one, 5.0)
    told, moved = ended(one)

    assert len(planned) > 2
    assert len(placed(one)) == len(set(placed(one)))
    assert {order.parent.id: moved[order.parent.id] for order in planned} == {
        order.parent.id: order.parent.quantity for order in planned
    }
    assert [row["left"] for row in told.values()] == ["0"] * len(planned)
    assert broken(one.told()) == []


@pytest.mark.parametrize("style", ["limit", "twap"])
def test_a_schedule_keeps_its_times_over_a_restart(life, style):
    """Killed between two children: those that are left leave when they would have left."""
    calm, _ = begun(life, style, named=False)
    ended(calm)
    one, planned = begun(life, style, named=False)
    pass_to(one, BEGAN + 260)
    killed(one, 10.0)
    told, _ = ended(one)
    times = [[created(this, id_) for id_ in placed(this)] for this in (calm, one)]

    assert placed(one) == placed(calm)
    assert max(abs(a - b) for a, b in zip(*times, strict=True)) <= 40.0  # recovery asks, and calls have to wait
    assert [row["end"] for row in told.values()] == [iso(order.end) for order in planned]


@pytest.mark.parametrize("named", [True, False])
def test_slices_that_were_slept_through_are_caught_up_and_never_over_filled(life, named):
    """Down for two slices of four: what is left is spread over the others, at most twice a slice each (O18)."""
    one, planned = begun(life, "twap", named)
    killed(one, 500.0)
    _, moved = ended(one)

    for order in planned:
        slices = [abs(part.quantity) for part in order.slices]
        assert abs(moved[order.parent.id]) <= abs(order.parent.quantity)
        assert abs(moved[order.parent.id]) > slices[0]
        for trade in one.account.trades():
            parent, _, number = trade.tag.rpartition(".")
            assert parent != order.parent.id or abs(trade.quantity) <= 2 * slices[int(number)]
    assert broken(one.told()) == []


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("parts", [0.0, 1.0])
def test_what_is_filled_while_we_are_dead_is_not_bought_again(life, named, parts):
    """Limit orders rest, somebody trades with them after our death, in parts or whole: only the rest crosses."""
    one, planned = begun(life, "limit", named, parts=parts if named else 0.0)
    resting = [number for number, order in one.account.ledger.orders.items() if order.status == "PENDING"]
    one.account.parts = 0.0  # what crosses is filled
    one.clock.at(one.clock.now + 30.0, lambda: [one.account._taken(number, 0.0) for number in resting[::2]])
    killed(one, 60.0)
    _, moved = ended(one)

    assert len(resting) > 2
    assert {order.parent.id: moved[order.parent.id] for order in planned} == {
        order.parent.id: order.parent.quantity for order in planned
    }
    assert len(sockets(one)) == len(set(sockets(one)))
    assert broken(one.told()) == []


@pytest.mark.parametrize("named", [True, False])
def test_a_schedule_that_was_slept_through_is_over(life, named):
    """Down until after its end: what the market reached is booked, the rest is taken back, nothing more sent (O9)."""
    one, planned = begun(life, "limit", named)
    killed(one, OVER_S + 100.0)
    told, moved = ended(one)
    children = [id_ for id_ in sockets(one) if id_.rpartition(".")[0] in told]
    filled = {order.parent.id for order in planned if moved[order.parent.id] == order.parent.quantity}

    assert children == [f"{order.parent.id}.0" for order in planned]
    assert {id_: row["reason"] for id_, row in told.items()} == {
        id_: "FILLED" if id_ in filled else "DEADLINE" for id_ in told
    }
    assert 0 < len(filled) < len(planned)
    assert not any(order.status == "PENDING" for order in one.account.ledger.orders.values())
    assert broken(one.told()) == []


def created(one, id_):
    """When the venue took an order, s of the life."""
    number = next(trade.number for trade in one.account.trades() if trade.tag == id_)
    return one.account.ledger.orders[int(number)].created - START
