"""What the pages say agrees with what the code has: codes, columns, keys, events, links, the README's form."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from evenkeel import errors
from evenkeel.archive.integrity import OUTCOMES
from evenkeel.cli import COMMANDS
from evenkeel.cli.reasons import REASONS
from evenkeel.config import Config
from evenkeel.engine import slots
from evenkeel.journal import TABLES
from evenkeel.market.features import FEATURES, MARKET_FEATURES
from evenkeel.market.quality import Fault
from evenkeel.portfolio.overlay import RULES
from evenkeel.signals.policy import OWN
from evenkeel.types import IntentStatus, Memory
from evenkeel.units import utc

ROOT = Path(__file__).resolve().parents[2]
pages = sys.modules["evenkeel_test_pages"]
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))


def said(path, words):
    """The words of a page that stand as code in it."""
    text = pages.text(path)
    return [word for word in words if not re.search(rf"`[^`\n]*(?<!\w){re.escape(str(word))}(?!\w)[^`\n]*`", text)]


def test_readme_fits_and_begins_with_what_counts():
    """At most 150 lines; the first screen has the two commands and a capture."""
    lines = pages.text("README.md").splitlines()
    first = "\n".join(lines[:40])

    assert len(lines) <= 150
    assert "&& cd evenkeel" in first
    assert "make run" in first
    assert "rebalance slots" in first


def test_the_capture_is_of_this_version(played):
    """Its labels are those of a run, its slots those of the demo's two weeks."""
    capture = re.search(r"```text\nreplay.*?```", pages.text("README.md"), re.DOTALL)[0]
    labels = [re.split(r"\s{2,}", line)[0].strip() for line in played[1].splitlines() if re.search(r"\S\s{2,}\S", line)]
    grid = list(slots.between(utc("2025-02-10"), utc("2025-02-24"), slots.Cadence()))
    counts = {kind: sum(1 for slot in grid if slot.kind.value == kind) for kind in ("risk", "score", "rebalance")}

    assert labels
    assert [label for label in labels if f"\n{label} " not in capture] == []
    assert all(re.search(rf"{kind} slots +{count} done", capture) for kind, count in counts.items())
    assert f"{len(grid)}/{len(grid)} slots" in capture


def test_every_reason_code_has_a_line():
    """Codes of orders, rules, slots, faults, alerts and imports, as the code's own tables have them."""
    codes = {*REASONS, *(fault.name for fault in Fault), *(name for rules in RULES.values() for name, _ in rules)}
    codes |= {*OUTCOMES, *(status.value for status in IntentStatus)}

    assert said("docs/reference/reason-codes.md", sorted(codes)) == []


def test_every_code_that_the_rooms_write_has_a_line():
    """Words in capitals with an underscore, in the rooms that decide, plan and send."""
    rooms = [
        ROOT / "src/evenkeel/decide.py",
        *(p for r in ("engine", "service", "portfolio") for p in (ROOT / "src/evenkeel" / r).glob("*.py")),
    ]
    found = {word for path in rooms for word in re.findall(r'"([A-Z]+_[A-Z_]+)"', path.read_text())}

    assert found
    assert said("docs/reference/reason-codes.md", sorted(found)) == []


def test_every_table_and_column_of_the_journal_is_described():
    """docs/reference/state.md has them all, and every key of memory."""
    names = {*TABLES, *(column for columns in TABLES.values() for column in columns)}
    names |= {field.name for field in dataclasses.fields(Memory)}

    assert said("docs/reference/state.md", sorted(names)) == []


def test_every_section_of_the_configuration_is_described():
    """docs/reference/config.md has them all."""
    assert said("docs/reference/config.md", [field.name for field in dataclasses.fields(Config)]) == []


def test_every_command_and_its_json_is_described():
    """docs/reference/json.md names every command; the README shows all but the groups' own commands."""
    text = pages.text("docs/reference/json.md")

    assert [name for name in COMMANDS if not re.search(rf"(?<!\w){name}(?!\w)", text)] == []
    assert [name for name in COMMANDS if f"evenkeel {name}" not in pages.text("README.md")] == []


@pytest.mark.parametrize("words", [["status"], ["plan"], ["why", "BTC"], ["doctor"], ["data", "ls"]], ids=" ".join)
def test_names_of_json_documents_are_described(words, played):
    """Every key of the first level, and of the metrics, stands in docs/reference/json.md."""
    document = json.loads(played[0].run(["evenkeel", *words, "--json"]).stdout)

    assert said("docs/reference/json.md", [*document]) == []


def test_names_of_a_run_are_described(world):
    """`run` and `backtest`, with every figure of `metrics`."""
    window = ["--set", "clock.from=2025-02-10", "--set", "clock.to=2025-02-11"]
    coins = ["--set", "universe.only=[BTC, ETH]"]
    told = [
        world.run(["evenkeel", "--home", "fresh", *c, "--config", "config/demo.yaml", *window, *coins, "--json"])
        for c in (["run"], ["backtest"])
    ]
    documents = [json.loads(done.stdout) for done in told]
    names = {name for document in documents for name in (*document, *document["metrics"])}

    assert documents[0]["orders_sha256"] == documents[1]["orders_sha256"]
    assert said("docs/reference/json.md", sorted(names)) == []


def test_every_feature_is_described():
    """docs/reference/symbols.md has the table of the code, line by line."""
    text = pages.text("docs/reference/symbols.md")

    assert [
        f.name for f in (*FEATURES, *MARKET_FEATURES) if f"| `{f.name}` | {f.warmup_h} | {f.doc} |" not in text
    ] == []


def test_every_observation_of_a_slot_is_described():
    """docs/reference/symbols.md has the table of the code, line by line."""
    text = pages.text("docs/reference/symbols.md")

    assert [name for name, unit, meaning in OWN if f"| `{name}` | {unit} | {meaning} |" not in text] == []


def test_every_event_of_the_log_is_described():
    """Every first argument of a logging call."""
    events = set(re.findall(r'\b(?:log|told)(?:\.(?:debug|info|warning|error))?\(\s*"([a-z_]+)"', SOURCE))
    events |= set(re.findall(r'"event": "([a-z_]+)"', SOURCE))

    assert len(events) > 10
    assert said("docs/reference/events.md", sorted(events)) == []


def test_every_exit_code_is_described():
    """Those of the error tree and of the commands."""
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EvenkeelError)]
    text = pages.text("docs/reference/exit-codes.md")

    assert [kind.exit_code for kind in tree if f"\n| {kind.exit_code} |" not in text] == []
    assert all(f"\n| {code} |" in text for code in (0, 1, 2, 3, 4, 5, 75))


@pytest.mark.parametrize(("page", "target"), pages.links(), ids=[f"{pages.name(p)} -> {t}" for p, t in pages.links()])
def test_links_lead_somewhere(page, target):
    """The file exists, and the heading in it."""
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page

    assert found.exists()
    assert not anchor or anchor in pages.anchors(found)


def test_tests_that_failures_names_exist():
    """Every `tests/...` in docs/failures.md."""
    named = re.findall(r"`(tests/[\w/.]+)`", pages.text("docs/failures.md"))

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_index():
    """docs/README.md lists every page below docs."""
    index = pages.text("docs/README.md")
    below = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert [name for name in below if name != "README.md" and f"({name})" not in index] == []


def test_no_page_knows_the_machine_that_it_was_written_on():
    """No private paths, no addresses of package indexes."""
    private = re.compile(r"/(?:root|work|Users)/|pypi\.org|pythonhosted")

    assert [(pages.name(p), found[0]) for p in pages.PAGES if (found := private.search(p.read_text()))] == []
