"""The mechanism is generic: whatever a room's settings are made of, they are judged, shown and explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len

from evenkeel.config.keys import hint_of, keys_of, leaves, people, range_words, type_words
from evenkeel.config.values import build
from evenkeel.errors import ConfigError
from evenkeel.units import Key


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule."""

    on: Annotated[bool, Key("whether")] = True
    limit: Annotated[float, Gt(0), Le(1), Key("limit", "fraction")] = 0.5


@dataclass(frozen=True, slots=True)
class Room:
    """A room's settings, with every kind of field."""

    rule: Rule = Rule(limit=0.25)
    maybe: Rule | None = None
    word: Annotated[Literal["a", "b"] | None, Key("word")] = None
    count: Annotated[int | None, Ge(1), Key("count")] = None
    outer: Annotated[int, Ge(1)] | None = None
    shares: Annotated[Mapping[str, Annotated[float, Ge(0), Le(1)]], Key("shares")] = field(
        default_factory=lambda: {"trend": 1.0, "down": 0.2}
    )
    rules: Mapping[str, Rule] = field(default_factory=dict)
    horizons: Annotated[tuple[int, ...], Len(1, 3), Key("horizons", "h")] = (6, 24)
    pairs: tuple[Rule, ...] = ()
    span: Annotated[int, Interval(ge=60, le=3_600), Key("span", "s")] = 900
    fee: Annotated[Decimal, Ge(0), Key("fee")] = Decimal("0.001")


def test_nested_sections_keep_what_is_not_named():
    """A section inside a section starts from the outer one's default."""
    room = build(Room(), {"rule": {"on": False}}, {})

    assert room.rule == Rule(on=False, limit=0.25)


def test_optional_parts_may_be_null_or_given():
    """Null where allowed; a section where one is wanted."""
    room = build(Room(), {"maybe": {"limit": 1}, "word": "b", "count": None, "outer": 3}, {})

    assert (room.maybe, room.word, room.count, room.outer) == (Rule(limit=1.0), "b", None, 3)


def test_mappings_change_entry_by_entry():
    """Naming one regime leaves the others."""
    room = build(Room(), {"shares": {"down": 0}, "rules": {"x": {"limit": 0.1}}}, {})

    assert room.shares == {"trend": 1.0, "down": 0.0}
    assert room.rules == {"x": Rule(limit=0.1)}


def test_lists_of_sections_are_judged_one_by_one():
    """Every entry is a section of its own."""
    room = build(Room(), {"pairs": [{"limit": 0.1}, {"on": False}], "horizons": [6], "span": "5m"}, {})

    assert room.pairs == (Rule(limit=0.1), Rule(on=False))
    assert room.horizons == (6,)
    assert room.span == 300


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"rule": {"limit": 2}}, "rule.limit is 2: give a number, more than 0 and at most 1 (fraction)"),
        ({"shares": {"down": 1.5}}, "shares.down is 1.5"),
        ({"shares": {"down": "x"}}, "shares.down is 'x'"),
        ({"rules": {"x": {"lmit": 1}}}, "did you mean rules.x.limit?"),
        ({"pairs": [{}, {"limit": 0}]}, "pairs.1.limit is 0"),
        ({"horizons": []}, "horizons is ()"),
        ({"horizons": [1, 2, 3, 4]}, "at most 3 long"),
        ({"count": 0}, "count is 0: give a whole number, or null, at least 1"),
        ({"outer": 0}, "outer is 0"),
        ({"word": "c"}, "word is 'c': give one of a, b, or null"),
        ({"span": "2h"}, "1m to 1h"),
        ({"span": 30}, "span is 30"),
        ({"fee": "-1"}, "fee is '-1'"),
        ({"fee": True}, "fee is true"),
    ],
)
def test_refusals_name_the_whole_path(tree, words):
    """Down to the entry of a list or mapping."""
    with pytest.raises(ConfigError) as error:
        build(Room(), tree, {"": "room.yaml"})

    assert str(error.value).startswith("room.yaml: ")
    assert words in str(error.value)


def test_a_rooms_leaves_are_walked_and_shown():
    """Nested keys have dotted names; values are in people's words."""
    paths = [leaf.path for leaf in leaves(Room())]
    hints = {key: hint for key, (_, hint) in keys_of(Room).items()}

    assert paths[:3] == ["rule.on", "rule.limit", "maybe"]
    assert people(900, hints["span"]) == "15m"
    assert people((6, 24), hints["horizons"]) == [6, 24]
    assert people(Decimal("0.0010"), hints["fee"]) == "0.001"
    assert people({"x": Rule()}, hints["rules"]) == {"x": {"on": True, "limit": 0.5}}


def test_types_and_ranges_have_words():
    """What explain and errors say."""
    hints = {key: hint for key, (_, hint) in keys_of(Room).items()}

    assert type_words(hints["shares"]) == "mapping of name to number"
    assert range_words(hints["shares"]) == "each 0 to 1"
    assert type_words(hints["horizons"]) == "list of whole number"
    assert range_words(hints["horizons"]) == "not empty and at most 3 long"
    assert range_words(hint_of(Annotated[int, Gt(3)])) == "more than 3"
    assert range_words(hint_of(bool)) == ""
