"""Bundles: read whole and unchanged or not at all; CURRENT lives in the home; versions are never overwritten."""

import orjson
import pytest

from evenkeel import artifacts
from evenkeel.errors import ArtifactError

NAMES = ("a", "b")
MANIFEST = {"bars": [3600, 1800], "features": {"digest": "f" * 64, "names": list(NAMES)}}
FILES = {"model.txt": b"tree", "golden.json": b"{}"}


def write(folder, version="v1", **changes):
    return artifacts.write(folder, "alpha", version, MANIFEST | changes, FILES)


def load(path, *, features_digest="f" * 64, feature_names=NAMES, bar_s=3600):
    return artifacts.load(path, "alpha", features_digest=features_digest, feature_names=feature_names, bar_s=bar_s)


def edit(path, **changes):
    """Change the manifest as a person with an editor would, its own digest made to fit."""
    manifest = orjson.loads((path / "manifest.json").read_bytes()) | changes
    manifest["digest"] = artifacts._digest(manifest)
    (path / "manifest.json").write_bytes(orjson.dumps(manifest))


def test_what_is_written_is_read_back(tmp_path):
    made = write(tmp_path)

    read = load(made.path)

    assert read == made
    assert read.files == FILES
    assert read.version == "v1"


def test_same_content_has_the_same_digest_anywhere(tmp_path):
    assert write(tmp_path / "a").digest == write(tmp_path / "b").digest
    assert write(tmp_path / "c", seed=8).digest != write(tmp_path / "d").digest


def test_a_version_is_never_overwritten(tmp_path):
    write(tmp_path)

    with pytest.raises(ArtifactError, match="never overwritten"):
        write(tmp_path)


def test_nothing_half_written_is_seen(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "_durable", full)

    with pytest.raises(ArtifactError, match="No space left"):
        write(tmp_path)
    assert artifacts.versions(tmp_path, "alpha") == ()
    assert list((tmp_path / "alpha").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b"])
def test_a_name_is_a_plain_name(tmp_path, name):
    with pytest.raises(ArtifactError, match="no name"):
        write(tmp_path, name)


def _removed(path):
    (path / "model.txt").unlink()


def _flipped(path):
    (path / "model.txt").write_bytes(b"tree?")


def _manifest_gone(path):
    (path / "manifest.json").unlink()


def _manifest_text(path):
    (path / "manifest.json").write_text("{ nonsense")


def _manifest_list(path):
    (path / "manifest.json").write_text("[]")


def _manifest_edited(path):
    data = (path / "manifest.json").read_bytes()
    (path / "manifest.json").write_bytes(data.replace(b"1800", b"9999"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_removed, "model.txt cannot be read"),
        (_flipped, "has SHA-256"),
        (_manifest_gone, "cannot be read"),
        (_manifest_text, "no JSON"),
        (_manifest_list, "no JSON object"),
        (_manifest_edited, "changed after it was written"),
        (lambda path: edit(path, schema=99), "has schema 99"),
        (lambda path: edit(path, schema="x"), "has schema x"),
        (lambda path: edit(path, kind="policy"), "of kind policy"),
        (lambda path: edit(path, files={}), "names no files"),
        (lambda path: edit(path, files={"../../x": "0"}), "no name"),
    ],
)
def test_any_damage_is_refused_in_one_sentence(tmp_path, damage, words):
    path = write(tmp_path).path
    damage(path)

    with pytest.raises(ArtifactError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"features_digest": "0" * 64}, "a formula has changed"),
        ({"feature_names": ("a", "c")}, r"other features \(b, c\)"),
        ({"feature_names": ("b", "a")}, "in another order"),
        ({"bar_s": 900}, "no evidence on 15m bars"),
    ],
)
def test_a_model_of_something_else_is_refused(tmp_path, wanted, words):
    with pytest.raises(ArtifactError, match=words):
        load(write(tmp_path).path, **wanted)


def test_versions_count_as_people_do(tmp_path):
    for version in ("v10", "v2", "v1"):
        write(tmp_path, version)
    (tmp_path / "alpha" / "notes").mkdir()

    assert artifacts.versions(tmp_path, "alpha") == ("v1", "v2", "v10")
    assert artifacts.next_version([tmp_path, tmp_path / "none"], "alpha") == "v11"
    assert artifacts.next_version([tmp_path], "policy") == "v1"


def test_a_shipped_model_is_used_until_another_is_promoted(tmp_path):
    home, shipped = tmp_path / "home", tmp_path / "shipped"
    assert artifacts.chosen("alpha", home, shipped) is None
    write(shipped, "v1")
    write(home, "v2")
    assert artifacts.chosen("alpha", home, shipped) == shipped / "alpha" / "v1"

    artifacts.promote("alpha", "v2", home, shipped)

    assert artifacts.chosen("alpha", home, shipped) == home / "alpha" / "v2"
    assert (home / "alpha" / "CURRENT").read_text() == "v2\n"
    assert not (shipped / "alpha" / "CURRENT").exists()


def test_a_pointer_to_nothing_is_refused(tmp_path):
    write(tmp_path, "v1")
    (tmp_path / "alpha" / "CURRENT").write_text("v7\n")

    with pytest.raises(ArtifactError, match=r"v7 is neither .*\(there: v1\)"):
        artifacts.chosen("alpha", tmp_path, tmp_path / "shipped")


def test_a_damaged_bundle_is_not_promoted(tmp_path):
    _flipped(write(tmp_path).path)

    with pytest.raises(ArtifactError, match="SHA-256"):
        artifacts.promote("alpha", "v1", tmp_path, tmp_path / "shipped")
    assert not (tmp_path / "alpha" / "CURRENT").exists()
