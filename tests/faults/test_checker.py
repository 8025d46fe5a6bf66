"""The judge of simulated lives finds every law that is broken on purpose, and nothing else."""

from dataclasses import replace
from decimal import Decimal

import pytest

from evenkeel.portfolio.breakers import BreakerSettings
from faults.checker import broken
from faults.history import Called, Committed, Crashed, Ending, Flow, History, Leg, Looked, Socket, Trade

BUY, SALE = Decimal(2), Decimal(-1)


def legs(**known):
    return Committed(known, "ACTIVE", (), cash=Decimal(1_000))


def trade(number="11", tag="a", asset="BTC", units=BUY, cash=Decimal(-200)):
    return Trade(number, tag, asset, units, units, cash)


def lawful():
    """Two orders, one answer lost and found, a deposit."""
    events = [
        legs(a=Leg("BTC", "PREPARED"), b=Leg("ETH", "PREPARED")),
        legs(a=Leg("BTC", "SENT"), b=Leg("ETH", "PREPARED")),
        Socket("a", "BTC", BUY, durable=True, marker=False),
        legs(a=Leg("BTC", "UNKNOWN"), b=Leg("ETH", "SENT")),
        Socket("b", "ETH", SALE, durable=True, marker=False),
        legs(a=Leg("BTC", "UNKNOWN"), b=Leg("ETH", "FILLED", "12")),
        legs(a=Leg("BTC", "FILLED", "11"), b=Leg("ETH", "FILLED", "12")),
        legs(),
        Flow(Decimal(50)),
    ]
    end = Ending(
        opening=Decimal(1_000),
        remembered={"USD": Decimal(900), "BTC": BUY, "ETH": SALE},
        venue={"USD": Decimal(900), "BTC": BUY, "ETH": SALE},
        trades=(trade(), trade("12", "b", "ETH", SALE, Decimal(50))),
        fills={"a": BUY, "b": SALE},
        paid={"a": Decimal(200), "b": Decimal(-50)},
        flows=Decimal(50),
    )
    return History(events, end)


def ending(**changes):
    made = lawful()
    made.ending = replace(made.ending, **changes)
    return made


def events(at, event):
    made = lawful()
    made.events[at] = event
    return made


def with_trade(*more, **moved):
    """One more order at the venue, with everybody's books in order."""
    end, wealth = lawful().ending, dict(lawful().ending.venue)
    for one in more:
        wealth[one.asset] = wealth.get(one.asset, Decimal(0)) + one.units
        wealth["USD"] += one.cash
    return ending(trades=(*end.trades, *more), venue=wealth, remembered=wealth, **moved)


def given_up(skew=120.0):
    """The first answer was never found, as our clock was wrong; its pair waits for a person."""
    made = lawful()
    lost = Leg("BTC", "UNKNOWN", note="AMBIGUOUS: UNITS_CHANGED")
    made.events[2] = replace(made.events[2], skew=skew)
    made.events[6] = replace(legs(a=lost, b=Leg("ETH", "FILLED", "12")), quarantined=("BTC",))
    made.ending = replace(made.ending, fills={"b": SALE}, paid={"b": Decimal(-50)}, flows=Decimal(-150))
    return made


def looked(times, between=(), **socket):
    """The venue shows the order whose answer was lost, so often before it is bound; `between` the first two looks."""
    made = lawful()
    made.events[2] = replace(made.events[2], **socket)
    unknown = made.events[5]
    looks = [[Looked(("11",)), unknown]] * times
    made.events[6:6] = [event for n, look in enumerate(looks) for event in (*look, *(() if n else between))]
    return made


def twin():
    """A person placed the very order that was lost on its way."""
    made = lawful()
    made.ending = replace(made.ending, trades=(trade(tag=""), made.ending.trades[1]))
    return made


def swapped():
    """Ours is shown late; a person's, alike, was there first and is taken for it."""
    made = lawful()
    made.events[6] = legs(a=Leg("BTC", "FILLED", "13"), b=Leg("ETH", "FILLED", "12"))
    more = with_trade(trade("13", ""), flows=Decimal(-150))
    return History(made.events, more.ending)


WARY = BreakerSettings(least=3, errors=0.5, latency_s=5.0)
SHUT = replace(legs(), trading_state="REDUCING", trips=("BREAKER_ERRORS",), done=1)


def stormy(*before):
    """Three calls of which two fail, the end of a slot, what came of it, and a purchase."""
    calls = [Called(0, 0.1, answered=n > 1) for n in range(3)]
    made = lawful()
    made.events[:2] = [*calls, replace(legs(), done=1), *before, legs(a=Leg("BTC", "PREPARED")), made.events[1]]
    made.breakers = WARY
    return made


def reduced():
    """The breaker opens, nothing is bought until a calm quarter of an hour has closed it."""
    return stormy(SHUT, *[Called(n, 0.1, answered=True) for n in range(3)], replace(legs(), done=2))


def with_parent(quantity, **changes):
    """The purchase as the only child of an order that is sent over time."""
    made, child = lawful(), "s-BTC-0.0"
    known = {child: Leg("BTC", "FILLED", "11"), "b": Leg("ETH", "FILLED", "12")}
    made.events[1] = replace(legs(), parents={"s-BTC-0": quantity}, **changes)
    made.events[2] = replace(made.events[2], id=child)
    made.events[3] = made.events[5] = legs()
    made.events[6] = legs(**known)
    fills, paid = {child: BUY, "b": SALE}, {child: Decimal(200), "b": Decimal(-50)}
    made.ending = replace(made.ending, fills=fills, paid=paid, trades=(trade(tag=child), made.ending.trades[1]))
    return made


@pytest.mark.parametrize(
    "history",
    [
        lawful(),
        given_up(),
        twin(),
        swapped(),
        reduced(),
        with_parent(BUY),
        looked(1),
        looked(1, between=(Looked(("11",)), Crashed("before its commit"), lawful().events[5])),
        looked(3, skew=120.0),
    ],
    ids=[
        "all well",
        "given up",
        "a person's twin",
        "swapped",
        "reduced",
        "over time",
        "bound at the second look",
        "a look that was not finished",
        "sent by a wrong clock",
    ],
)
def test_nothing_is_said_of_a_lawful_history(history):
    assert broken(history) == []


PLANTED = {
    "sent before it was durable": (events(2, Socket("a", "BTC", BUY, False, False)), "a left before SENT was durable"),
    "sent under the marker": (events(2, Socket("a", "BTC", BUY, True, True)), "a left while halted"),
    "sent while halted": (events(1, Committed({}, "HALTED", ())), "a left while halted"),
    "bought while reducing": (events(1, Committed({}, "REDUCING", ())), "a bought while reducing"),
    "two legs of a pair": (
        events(1, legs(a=Leg("BTC", "SENT"), b=Leg("BTC", "PREPARED"))), "BTC has 2 unresolved legs",
    ),
    "placed twice": (with_trade(trade("13")), "a was placed 2 times"),
    "from nowhere": (with_trade(trade("13", "c")), "c was placed but never left"),
    "never bound": (events(6, legs(b=Leg("ETH", "FILLED", "12"))), "order 11 of a is lost"),
    "called not placed": (events(6, legs(a=Leg("BTC", "NOT_PLACED"))), "order 11 of a is lost"),
    "bound twice": (
        events(6, legs(a=Leg("BTC", "FILLED", "11"), b=Leg("ETH", "FILLED", "11"))), "order 11 is bound to a, b",
    ),
    "bound at the third look": (looked(2), "a was not understood after two reconciliations"),
    "bound at the third look, after a restart": (
        looked(2, between=(Crashed("here"), lawful().events[5])), "a was not understood after two reconciliations",
    ),
    "a person's order taken": (
        with_trade(trade("13", "", "BTC", Decimal(7))), "order 13 of a person is bound to a",
    ),
    "a coin from nowhere": (ending(venue=lawful().ending.venue | {"SOL": Decimal(1)}), "the venue has 1 SOL"),
    "cash forgotten": (ending(remembered=lawful().ending.remembered | {"USD": Decimal(899)}), "memory knows 899 USD"),
    "units forgotten": (ending(remembered={"USD": Decimal(900), "ETH": SALE}), "memory knows 0 BTC"),
    "cash below zero": (ending(opening=Decimal(0), venue={"USD": Decimal(-100)}), "cash is negative"),
    "a fill booked twice": (ending(fills={"a": 2 * BUY, "b": SALE}), "a is booked with 4"),
    "a canceled row booked": (ending(fills={"a": BUY, "b": SALE, "c": BUY}), "c is booked with 2"),
    "a fill not booked": (ending(fills={"a": BUY}), "b is booked with 0"),
    "a fill for another price": (ending(paid=lawful().ending.paid | {"a": Decimal(201)}), "a is booked for 201"),
    "a fill settled twice": (ending(flows=Decimal(250)), "memory has 900 USD, its flows and fills make 1100"),
    "more than was asked for": (with_parent(BUY - 1), "s-BTC-0 asked for 1 and got 2"),
    "crossed at limits": (with_parent(BUY, limited=("BTC",)), "s-BTC-0.0 left at market"),
    "a breaker that never opens": (stormy(), "a bought, though BREAKER_ERRORS had to be open"),
    "a breaker that is ignored": (stormy(replace(SHUT, trading_state="ACTIVE")), "BREAKER_ERRORS is open, and"),
    "a breaker that closes in the storm": (stormy(SHUT), "a bought, though"),
    "a breaker without a cause": (
        stormy(replace(SHUT, trips=("BREAKER_LATENCY",))), "BREAKER_LATENCY opened at a venue that is well",
    ),
    "a person is asked for nothing": (given_up(skew=0.0), "BTC was left to a person without a cause"),
    "it never trades again": (ending(trading_state="REDUCING"), "it is REDUCING in the end"),
    "the last rebalance fails": (ending(last="failed account_unreadable"), "it is ACTIVE in the end, and the last"),
    "a breaker for ever": (ending(trips=("BREAKER_ERRORS",)), "BREAKER_ERRORS is still open after the calm"),
    "a slot twice": (ending(seconds=("risk@x",)), "risk@x ended twice"),
    "a slot swallowed": (ending(missing=("risk@x",)), "risk@x never ended"),
    "open for ever": (ending(open=("a",)), "a is still open"),
    "an edited audit row": (ending(chain=False), "the audit chain is broken"),
}  # fmt: skip
PLANTED["a person's order taken"][0].events[6] = legs(a=Leg("BTC", "FILLED", "13"), b=Leg("ETH", "FILLED", "12"))


@pytest.mark.parametrize("name", PLANTED)
def test_every_planted_fault_is_told(name):
    history, sentence = PLANTED[name]

    assert [said for said in broken(history) if said.startswith(sentence)]
