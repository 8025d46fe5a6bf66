"""What travels in a wheel, and that an installed wheel finds it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from evenkeel.config import find, load, shipped

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ["config.yaml", "demo.yaml", "replay.yaml", "rl.yaml", "universe.yaml"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_checkout_finds_its_presets(name, tmp_path, monkeypatch):
    """From any working folder and home."""
    monkeypatch.chdir(tmp_path)

    assert find(Path(f"config/{name}"), tmp_path) == shipped() / "config" / name


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "universe.yaml"])
def test_presets_are_valid_dry_runs(name, tmp_path):
    """Nothing that ships may send an order."""
    assert load(Path(f"config/{name}"), environ={}, overrides=(), home=tmp_path).config.dry_run is True


def test_the_working_folder_and_the_home_come_before_what_is_shipped(tmp_path, monkeypatch):
    """A person's own file of the same name wins."""
    home, here = tmp_path / "home", tmp_path / "here"
    monkeypatch.chdir(tmp_path)
    for folder, seed in ((home, 1), (here, 2)):
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "demo.yaml").write_text(f"seed: {seed}\n", encoding="utf-8")

    assert load(Path("config/demo.yaml"), environ={}, overrides=(), home=home).config.seed == 1
    monkeypatch.chdir(here)
    assert load(Path("config/demo.yaml"), environ={}, overrides=(), home=home).config.seed == 2


def test_a_wheel_holds_presets_models_and_licence(wheel):
    """config/ and models/ as evenkeel/_shipped; no tests."""
    names = zipfile.ZipFile(wheel).namelist()

    for name in PRESETS:
        assert f"evenkeel/_shipped/config/{name}" in names
    assert any(name.startswith("evenkeel/_shipped/models/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "tools"))]


def test_an_unpacked_wheel_reads_its_own_presets(wheel, tmp_path):
    """Without the checkout in reach."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from pathlib import Path; from evenkeel.config import find, load, load_universe;"
        "home = Path('home'); loaded = load(Path('config/demo.yaml'), environ={}, overrides=(), home=home);"
        "print(find(Path('universe.yaml'), home));"
        "print(len(load_universe(find(Path(loaded.config.universe.file), home), loaded.config.universe)))"
    )
    environ = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == [str(tmp_path / "site/evenkeel/_shipped/config/universe.yaml"), "88"]


def test_pins_cover_what_the_metadata_asks_for():
    """Each list pins what it is for; torch stands first, and only in the full one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    assert names(project["dependencies"]) <= pinned("requirements-base.txt")
    tested = names(extras["dev"]) | names(extras["kalshi"]) | names(extras["llm"])
    assert tested <= pinned("requirements-base.txt") | pinned("requirements-dev.txt")
    assert "torch" not in pinned("requirements-base.txt")
    full = {name for extra, asked in extras.items() if extra != "dev" for name in names(asked)}
    assert names(project["dependencies"]) | full <= pinned("requirements.txt")
    assert lines("requirements.txt")[0] == "torch==2.13.0"


def lines(file):
    """Requirements of a list without comments."""
    text = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in text if line and not line.startswith(("#", "-"))]


def names(requirements):
    """Normalised names."""
    cut = str.maketrans(dict.fromkeys("<>=[;~!", " "))
    return {line.translate(cut).split()[0].lower().replace("_", "-") for line in requirements}


def pinned(file):
    """Names that a list pins."""
    assert all("==" in line for line in lines(file))
    return names(lines(file))
