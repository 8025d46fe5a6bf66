"""The edge inside the laws: absent, weightless or outdated it changes no order; fed, it decides and replays alike."""

import threading
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import world

from evenkeel.engine.replay import Replay
from evenkeel.journal import orders_sha256, recent
from evenkeel.market import synthetic
from evenkeel.market.panel import rows
from evenkeel.market.synthetic import SyntheticSettings
from evenkeel.research.backtest import backtest
from evenkeel.service import loop
from evenkeel.signals import crowd as crowds
from evenkeel.signals.compute import compute
from evenkeel.signals.crowd import COINS, Crowd
from evenkeel.signals.edge import Skill
from evenkeel.types import Brain, Health, Reading

HOUR = 3600
SKILL = Skill("v1", "d" * 64, "somewhere", 0.5, 0.05, 10.0, 400, 0, 2**40)
DOWN = Crowd("somewhere", silent="Kalshi cannot be had: kalshi GET /series/KXBTC: no connection")


@cache
def fed():
    """A crowd that says something of every coin at every bar: seeded drifts of half a sigma."""
    panel, rng = world.panel(), np.random.default_rng(3)
    readings = {}
    for time in panel.time[world.first_row(panel) :].tolist():
        close = (time // HOUR + 1) * HOUR
        readings[time] = tuple(
            Reading(coin, time, f"KX{coin}", close, mu=0.01, mean=0.0, past=99, sd=0.02, drift=drift, vol=0.5,
                    contracts=((f"KX{coin}-T1", 0.4, 0.42),))
            for coin, drift in zip(COINS, rng.normal(0, 0.5, len(COINS)).tolist(), strict=True)
        )  # fmt: skip
    return Crowd("somewhere", readings)


def market(crowd=None, skill=SKILL, rules=world.RULES):
    """The small world under a crowd."""
    panel, settings = world.panel(), replace(world.SIGNALS, opinions=rules.opinions)
    crowd = fed() if crowd is None else crowd
    return Replay(compute(panel, Brain(edge=skill), settings, world.first_row(panel), crowd))


def run(crowd=None, skill=SKILL, rules=world.RULES, days=1.5):
    """Back-test: digest of its orders, and the edge of every trading plan."""
    plans, tape = [], market(crowd, skill, rules)
    brain = Brain(edge=skill)
    done = backtest(
        world.window(days), tape, world.venue(tape), world.memory(), brain, rules, on_plan=plans.append
    )  # fmt: skip
    said = [next(o for o in p.opinions if o.name == "edge") for p in plans if p.slot.kind.value != "risk"]
    return orders_sha256(done.orders), said


def wanted(**changes):
    """Rules with other opinions configured."""
    return replace(world.RULES, opinions=replace(world.RULES.opinions, **changes))


@pytest.mark.parametrize("rule", [True, False])
def test_m6_kalshi_down_is_missing_and_orders_are_those_of_a_run_without_the_edge(rule):
    """With the stand-in or without; every trading plan says what was wrong."""
    down, said = run(DOWN, rules=wanted(rule=rule))
    off, silent = run(rules=wanted(edge=False, rule=rule))

    assert down == off
    assert {o.health for o in said} == {Health.MISSING}
    assert {o.reason for o in said} == {DOWN.silent}
    assert not any(np.isfinite(o.x).any() for o in said)
    assert {o.health for o in silent} == {Health.OFF}


def test_an_edge_with_measured_skill_decides():
    """Other orders than without; strength is its skill over the horizon of the ladder."""
    spoken, said = run()

    assert spoken != run(rules=wanted(edge=False))[0]
    assert {o.health for o in said} == {Health.OK}
    left = {round((o.strength / SKILL.weight) ** 2 * 86_400 + 40) for o in said}
    assert left == {1800, 3600}


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (None, "never measured"),
        (replace(SKILL, source="elsewhere"), "measured on elsewhere, these are of somewhere"),
        (replace(SKILL, ic=0.05, ic_t=0.8), "weighs nothing: IC +0.050"),
        (replace(SKILL, ic=-0.12, ic_t=-1.8), "weighs nothing: IC -0.120"),
        (replace(SKILL, until=world.START + 90 * world.DAY), "measured on what is shown here"),
        (replace(SKILL, expires=world.START - world.DAY), "expired"),
    ],
)
def test_an_edge_without_proof_is_shown_and_weighs_nothing(skill, words):
    """Off, with the reason and its x; the orders are those of a run that never wanted it."""
    digest, said = run(skill=skill, days=0.5)

    assert digest == run(rules=wanted(edge=False), days=0.5)[0]
    assert {o.health for o in said} == {Health.OFF}
    assert all(words in o.reason and np.isfinite(o.x).sum() == len(world.ASSETS) for o in said)


def test_a_weightless_edge_is_not_heard_as_the_last_opinion():
    """Where everything else failed, a voice without weight does not pass for an opinion: as without it."""
    alone = {"rule": False, "alpha": True, "policy": True}

    assert run(skill=None, rules=wanted(**alone))[0] == run(rules=wanted(edge=False, **alone))[0]


def test_the_service_sends_the_orders_of_the_back_test_with_an_edge_in(tmp_path):
    """Law 3 through store, intents, journal and paper account; readings stand in the journal."""
    tape = market()
    with world.service(tmp_path, tape, lambda path: world.venue(tape, path)) as runner:
        runner.brain = Brain(edge=SKILL)
        loop.replay(runner, world.START, world.START + world.DAY, world.CADENCE, stop=threading.Event())
    journal = tmp_path / "state" / "journal.db"
    sent, read = (recent(journal, table, limit=100_000) for table in ("orders", "edge"))

    assert len(sent) > 10
    assert orders_sha256(sent) == run(days=1)[0]
    assert len(read) == 48 * len(COINS)
    assert {row["vol"] for row in read} == {0.5}
    assert read[-1]["contracts"] == '[["KXDOGE-T1",0.4,0.42]]'


def heard(panel, first, knows):
    """What the embedded market's crowd says, and x of it."""
    crowd = crowds.embedded(panel, SyntheticSettings(seed=7, crowd_knows=knows), first)
    signals = compute(panel, Brain(edge=replace(SKILL, source=crowd.source)), world.SIGNALS, first, crowd)
    return crowd.readings, signals.edge


@pytest.mark.parametrize("knows", [0.0, 0.5])
def test_no_reading_knows_what_follows(knows):
    """Cut after a row, every earlier reading and x have the same bits; a crowd that is told the future is caught."""
    start, end = world.START - 30 * world.DAY, world.START
    panel = synthetic.market(world.PAIRS[:2], start, end, HOUR, SyntheticSettings(late_asset="", gone_asset=""))
    first, row = len(panel.time) - 30, len(panel.time) - 8
    (told, edge), (before, cut) = heard(panel, first, knows), heard(rows(panel, 0, row + 1), first, knows)
    last = int(panel.time[row])

    assert np.isfinite(edge.x).any()
    same = repr(told[last]) == repr(before[last]) and world.same_bits(edge.x[: len(cut.x)], np.array(cut.x))
    assert same == (knows == 0)
