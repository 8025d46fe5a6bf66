"""The simulated disk: durable means durable, everything else may be lost, torn or reordered."""

import random
from pathlib import Path

import pytest

from evenkeel.store import RealDisk
from faults.memdisk import BLOCK, MemoryDisk

FOLDER = Path("/state")
FILE, OTHER = FOLDER / "a", FOLDER / "b"


def disk():
    made = MemoryDisk()
    made.make_folder(FOLDER)
    return made


def after_power_loss(before, seeds=200):
    """Every outcome of many power failures after the same steps."""
    outcomes = set()
    for seed in range(seeds):
        one = disk()
        before(one)
        one.lose_power(random.Random(seed))
        outcomes.add(tuple((name, one.read(FOLDER / name)) for name in one.names(FOLDER)))
    return outcomes


def test_what_was_synced_outlives_the_power():
    def steps(one):
        one.write(FILE, b"x" * 2000)
        one.sync(FILE)
        one.sync_folder(FOLDER)

    assert after_power_loss(steps) == {(("a", b"x" * 2000),)}


def test_content_without_sync_is_lost_torn_or_there():
    def steps(one):
        one.write(FILE, b"x" * 3 * BLOCK)
        one.sync_folder(FOLDER)

    contents = {dict(names)["a"] for names in after_power_loss(steps)}
    assert {b"", b"x" * 3 * BLOCK} <= contents
    assert any(set(content) == {0, ord("x")} for content in contents)


def test_a_name_without_sync_may_be_missing():
    def steps(one):
        one.write(FILE, b"x")
        one.sync(FILE)

    assert after_power_loss(steps) == {(), (("a", b"x"),)}


def test_a_rename_is_whole_or_never_was():
    def steps(one):
        one.write(OTHER, b"old")
        one.sync(OTHER)
        one.write(FILE, b"new")
        one.sync(FILE)
        one.sync_folder(FOLDER)
        one.replace(FILE, OTHER)

    assert after_power_loss(steps) == {(("a", b"new"), ("b", b"old")), (("b", b"new"),)}


def test_later_names_may_survive_earlier_ones():
    def steps(one):
        for path in (FILE, OTHER):
            one.write(path, b"x")
            one.sync(path)

    assert (("b", b"x"),) in after_power_loss(steps)


def test_an_interrupted_write_is_torn():
    def interrupt(verb, path):
        if verb == "write half":
            raise OSError(28, "No space left on device")

    one = disk()
    one.around = interrupt
    with pytest.raises(OSError, match="No space"):
        one.write(FILE, b"xxxx")

    assert one.read(FILE) == b"xx"


def test_it_answers_as_the_real_disk_does(tmp_path):
    """The same steps, the same names, contents and errors."""

    def told(one, folder):
        found, a, b, c = [], folder / "a", folder / "b", folder / "c"
        one.make_folder(folder)
        one.write(a, b"first")
        one.link(a, b)
        steps = [
            lambda: one.link(a, b), lambda: one.write(a, b"second"), lambda: one.read(b), lambda: one.replace(a, b),
            lambda: one.read(a), lambda: one.unlink(c), lambda: one.sync(c), lambda: one.link(c, a),
            lambda: one.replace(c, b), lambda: one.names(folder / "nowhere"), lambda: one.read(b),
        ]  # fmt: skip
        for step in steps:
            try:
                found.append(step())
            except OSError as error:
                found.append(type(error))
            found.append(one.names(folder))
        return found

    assert told(MemoryDisk(), FOLDER) == told(RealDisk(), tmp_path / "state")
