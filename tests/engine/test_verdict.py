"""Exactly once, without trusting anybody: what an account may show, and what may be concluded from it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.engine.ports import VenueOrder
from evenkeel.engine.verdict import (
    Ambiguous,
    Bound,
    NotPlaced,
    ProofSettings,
    Sent,
    Silence,
    Unproven,
    foreign,
    judge,
    judge_all,
)
from evenkeel.types import Fill, Holdings, IntentStatus, Order

RULES = ProofSettings()
AT = 1_750_000_000_000
PATIENT = Silence(3, 30.0)
TWO = Decimal(2)


def intent(id_="a", asset="BTC", quantity=TWO, highest=10, units=Decimal(5), limit=None, at=AT):
    return Sent(Order(id_, "slot", 0, asset, quantity, "TARGET"), at, highest, units, limit)


def fill(id_="f", quantity=TWO):
    return Fill(id_, "11", "BTC", quantity, Decimal(100), Decimal(0), AT // 1000)


def shown(id_="11", ours="", **changes):
    calm = VenueOrder(id_, ours, "BTC", TWO, None, IntentStatus.FILLED, AT + 200, (), int(id_))
    return replace(calm, **changes)


def holdings(units=Decimal(5)):
    return Holdings(0, Decimal(1000), {"BTC": units})


def verdict(sent, *orders, units=Decimal(5), bound=None, silence=PATIENT):
    return judge(sent, orders, holdings(units), bound or {}, silence, RULES)


# ---------------------------------------------------------------- the scenarios, by their ids


def test_o2_nothing_seen_and_nothing_moved_is_not_placed():
    assert verdict(intent()) == NotPlaced()
    assert verdict(intent(highest=None)) == NotPlaced()


@pytest.mark.parametrize(
    ("silence", "wait"),
    [
        (Silence(), 10.0),
        (Silence(1, 0.0), 15.0),
        (Silence(2, 15.0), 15.0),
        (Silence(3, 10.0), 20.0),
        (Silence(2, 900.0), 1.0),
    ],
)
def test_o4_silence_is_no_proof_before_its_time(silence, wait):
    assert verdict(intent(), silence=silence) == Unproven(wait)


def test_o3_one_order_with_the_fingerprint_is_ours_at_once():
    assert verdict(intent(), shown(), units=Decimal(7), silence=Silence(1)) == Bound(shown())


@pytest.mark.parametrize(
    "other",
    [
        {"asset": "ETH"},
        {"quantity": -TWO},
        {"id_": "10"},
        {"ours": "somebody"},
    ],
)
def test_an_order_that_cannot_be_ours_is_no_candidate(other):
    assert verdict(intent(), shown(**other)) == NotPlaced()


@pytest.mark.parametrize(
    "other",
    [{"quantity": Decimal(3)}, {"limit": Decimal(100)}, {"placed": AT - 60_000}, {"placed": AT + 60_000}],
)
def test_o21_t4_an_order_that_may_be_ours_altered_or_misdated_is_never_sent_again(other):
    assert verdict(intent(), shown(**other)) == Ambiguous("ALIKE", ("11",))


def test_o8_the_same_order_listed_twice_is_one():
    row, done = shown(status=IntentStatus.ACKED), shown(fills=(fill(), fill()))

    assert verdict(intent(), row, done) == verdict(intent(), done, row) == Bound(done)


def test_o10_a_fill_wins_over_the_cancel_that_raced_with_it():
    filled = shown(fills=(fill(),))
    for status in (IntentStatus.CANCELED, IntentStatus.REJECTED, IntentStatus.ACKED):
        assert verdict(intent(), replace(filled, status=status), filled) == Bound(filled)


def test_o16_two_orders_with_one_fingerprint_are_quarantined():
    assert verdict(intent(), shown("12"), shown("11")) == Ambiguous("SEVERAL_ORDERS", ("11", "12"))


def test_a_second_order_under_one_id_is_ambiguous_also_when_the_first_is_bound():
    twice = shown("11", "a"), shown("12", "a")

    assert verdict(intent(highest=None), *twice) == Ambiguous("SECOND_UNDER_ONE_ID", ("11", "12"))
    assert verdict(intent(highest=None), *twice, bound={"11": "a"}) == Ambiguous("SECOND_UNDER_ONE_ID", ("11", "12"))


def test_our_id_speaks_where_the_venue_keeps_it_whatever_its_clock_says():
    late = shown("11", "a", placed=AT + 3_600_000)

    assert verdict(intent(highest=None), late, shown("12")) == Bound(late)
    assert verdict(intent(highest=None), replace(late, asset="ETH")) == Ambiguous("ID_OF_ANOTHER", ("11",))


def test_units_that_moved_without_an_order_to_be_seen_are_ambiguous():
    assert verdict(intent(), units=Decimal(7)) == Ambiguous("UNITS_CHANGED")
    assert verdict(intent(highest=None), units=Decimal("4.999")) == Ambiguous("UNITS_CHANGED")


def test_o21_a_bound_order_of_another_quantity_says_so():
    more, over = shown("11", "a", quantity=Decimal(3)), shown("11", "a", fills=(fill("f"), fill("g")))

    assert verdict(intent(highest=None), more) == Bound(more, differs=True)
    assert verdict(intent(), more, bound={"11": "a"}) == Bound(more, differs=True)
    assert verdict(intent(highest=None), over) == Bound(over, differs=True)


def test_a_number_that_is_not_told_is_no_proof_of_age():
    assert verdict(intent(), shown(number=None)) == Bound(shown(number=None))
    assert verdict(intent(), shown(number=None, placed=AT - 60_000)) == NotPlaced()


def test_one_order_that_fits_two_intents_is_neithers():
    got = judge_all([intent("a"), intent("b")], [shown()], holdings(), {}, {}, RULES)

    assert got == {"a": Ambiguous("CONTESTED", ("11",)), "b": Ambiguous("CONTESTED", ("11",))}


def test_o22_e10_what_is_nobodys_is_listed_once_by_time():
    old, hand = shown("3", placed=AT - 9_000_000), shown("13", placed=AT + 9_000, quantity=Decimal(1))
    orders = [hand, shown("11"), shown("12"), hand, old]

    assert foreign(orders, [intent()], {"12": "z"}, RULES) == (old, hand)


# ---------------------------------------------------------------- laws

ASSETS = st.sampled_from(["BTC", "ETH"])
QUANTITIES = st.sampled_from([Decimal(-1), Decimal(1), TWO])
LIMITS = st.sampled_from([None, Decimal(100)])


@st.composite
def rows(draw):
    number = draw(st.integers(8, 15))
    return VenueOrder(
        id=str(number), ours=draw(st.sampled_from(["", "", "a", "b", "x"])), asset=draw(ASSETS),
        quantity=draw(QUANTITIES), limit=draw(LIMITS), status=draw(st.sampled_from(list(IntentStatus))),
        placed=AT + draw(st.sampled_from([-60_000, -5_001, -5_000, 0, 15_000, 15_001])),
        fills=tuple(draw(st.lists(st.builds(fill, st.sampled_from("fgh"), QUANTITIES), max_size=2))),
        number=draw(st.sampled_from([number, number, None])),
    )  # fmt: skip


@st.composite
def sents(draw):
    keeps = draw(st.booleans())
    return [
        intent(id_, draw(ASSETS), draw(QUANTITIES), None if keeps else draw(st.integers(9, 12)), limit=draw(LIMITS))
        for id_ in draw(st.sampled_from(["a", "ab", "abc"]))
    ]


BOUND = st.dictionaries(st.integers(8, 15).map(str), st.sampled_from(["a", "b", "x"]), max_size=2)
SILENCE = st.builds(Silence, st.integers(0, 5), st.sampled_from([0.0, 29.9, 30.0, 99.0]))
UNITS = st.sampled_from([Decimal(5), Decimal(6)])
EVIDENCE = st.lists(rows(), max_size=5)


def plainly(sent, orders, units, bound, silence):
    """The rules once more, word by word: the kind of verdict."""
    ids = []
    for order in orders:
        if order.id in ids:
            continue
        if order.id in bound:
            if bound[order.id] == sent.order.id:
                ids.append(order.id)
            continue
        if sent.highest is None:
            if order.ours == sent.order.id:
                ids.append(order.id)
            continue
        same = (order.asset, order.quantity, order.limit) == (sent.order.asset, sent.order.quantity, sent.limit)
        newer = order.number is None or order.number > sent.highest
        if same and newer and AT - 5_000 <= order.placed <= AT + 15_000 and order.ours in ("", sent.order.id):
            ids.append(order.id)
    known = [id_ for id_ in ids if id_ in bound]
    if sent.highest is not None and known:
        ids = known
    if len(ids) > 1:
        return Ambiguous
    if ids:
        return (Bound, Ambiguous)  # ambiguous if the row under our id is of another asset or side
    if silence.polls < 3 or silence.seconds < 30:
        return Unproven
    strange = [
        o for o in orders
        if sent.highest is not None and o.id not in bound and o.ours in ("", sent.order.id)
        and o.asset == sent.order.asset and (o.quantity > 0) == (sent.order.quantity > 0)
        and (o.number > sent.highest if o.number is not None else AT - 5_000 <= o.placed <= AT + 15_000)
    ]  # fmt: skip
    moved = units != Decimal(5) if sent.order.asset == "BTC" else True  # no ETH is held, 5 were
    return Ambiguous if strange or moved else NotPlaced


@given(sents(), EVIDENCE, UNITS, BOUND, SILENCE)
@settings(max_examples=400)
def test_the_judgement_is_the_rules_word_by_word(intents, orders, units, bound, silence):
    for sent in intents:
        assert isinstance(
            judge(sent, orders, holdings(units), bound, silence, RULES), plainly(sent, orders, units, bound, silence)
        )


@given(sents(), EVIDENCE, UNITS, BOUND, SILENCE)
@settings(max_examples=200)
def test_no_order_is_bound_to_two_intents(intents, orders, units, bound, silence):
    verdicts = judge_all(intents, orders, holdings(units), bound, {s.order.id: silence for s in intents}, RULES)
    taken = [v.order.id for v in verdicts.values() if isinstance(v, Bound)]

    assert len(taken) == len(set(taken))
    assert all(bound.get(v.order.id, id_) == id_ for id_, v in verdicts.items() if isinstance(v, Bound))
    assert not {o.id for o in foreign(orders, intents, bound, RULES)} & (set(taken) | set(bound))


@given(sents(), EVIDENCE, UNITS, BOUND, SILENCE, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_order_of_the_evidence_does_not_matter(intents, orders, units, bound, silence, random):
    waits = {s.order.id: silence for s in intents}
    before = judge_all(intents, orders, holdings(units), bound, waits, RULES), foreign(orders, intents, bound, RULES)
    random.shuffle(orders)
    random.shuffle(intents)

    assert before == (
        judge_all(intents, orders, holdings(units), bound, waits, RULES),
        foreign(orders, intents, bound, RULES),
    )


@given(sents(), EVIDENCE, EVIDENCE, UNITS, UNITS, BOUND, SILENCE, SILENCE)
@settings(max_examples=200)
def test_more_evidence_never_turns_bound_into_not_placed(intents, orders, more, units, later, bound, silence, longer):
    first = {s.order.id: judge(s, orders, holdings(units), bound, silence, RULES) for s in intents}
    then = {s.order.id: judge(s, [*orders, *more], holdings(later), bound, longer, RULES) for s in intents}

    for id_, verdict_ in first.items():
        assert not (isinstance(verdict_, Bound) and isinstance(then[id_], NotPlaced))


@given(
    keeps=st.booleans(), placed=st.booleans(), filled=st.booleans(), delay=st.integers(0, 10_000),
    skew=st.integers(-5_000, 5_000), visible=st.integers(0, 29), others=st.lists(rows(), max_size=3),
)  # fmt: skip
@settings(max_examples=300)
def test_r1_r2_before_a_truthful_venue_no_order_is_lost_and_none_doubled(
    keeps, placed, filled, delay, skew, visible, others
):
    """An order that is visible within the silence is never called not placed; one that never was is never bound."""
    sent = intent(highest=None if keeps else 100)
    others = [replace(o, ours="x" if keeps else o.ours) for o in others]  # numbers up to 15: known before
    status = IntentStatus.FILLED if filled else IntentStatus.ACKED
    ours = shown("101", "a" if keeps else "", placed=AT + delay + skew, status=status)
    units = Decimal(7) if placed and filled else Decimal(5)
    if not keeps:
        others = [replace(o, number=int(o.id)) for o in others]
    verdicts = [
        verdict(sent, *others, *[ours] * (placed and second >= visible), units=units, silence=Silence(n, second))
        for n, second in enumerate((0, 15, 30, 45), start=1)
    ]

    assert verdicts[-1] == (Bound(ours) if placed else NotPlaced())
    assert (NotPlaced() in verdicts) is not placed
