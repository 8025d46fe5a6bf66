"""A promoted model, as its user meets it: it decides and is named; gone, damaged or old, it is said out loud."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.program import COINS, SMALL, assert_refused, document, environment, evenkeel, state
from evenkeel import artifacts
from evenkeel.config import load, load_universe
from evenkeel.journal import recent
from evenkeel.market import synthetic
from evenkeel.units import DAY_S, utc

ROOT = Path(__file__).resolve().parents[2]
RUN = ("run", *SMALL, "--json")
TRAINING = ("alembic", "gymnasium", "joblib", "lightgbm", "mlflow", "optuna", "scipy", "shap", "sklearn", "torch")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose alpha mine was fitted on four months of the embedded market before the demo begins, and promoted."""
    pytest.importorskip("optuna", reason="training needs the [train] extra")
    from evenkeel.research.search import Backend
    from evenkeel.research.train_alpha import TrainSettings, train

    home = tmp_path_factory.mktemp("model")
    config = load(None, environ={}, overrides=[f"universe.only=[{COINS}]"], home=home).config
    pairs = load_universe(ROOT / "config" / "universe.yaml", config.universe)
    earlier = replace(config.synthetic, epoch=utc("2024-10-01"))
    panel = synthetic.market(pairs, utc("2024-10-01"), utc("2025-02-08"), 1800, earlier)
    settings = TrainSettings(step_h=6, folds=3, trials=1, batch=1, min_history_days=7.0, embargo_h=0)
    train(panel, home / "models", "mine", settings, created=utc("2025-02-08"), backend=Backend(jobs=1))
    artifacts.promote("alpha", "mine", home / "models", home / "none")
    return home


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A copy to run in, or to break."""
    return shutil.copytree(home, tmp_path / "home")


def said(home: Path) -> dict[str, Any]:
    """What state.json says of alpha."""
    found: dict[str, Any] = state(home)["view"]["opinions"]["alpha"]
    return found


def plans(home: Path) -> list[dict[str, Any]]:
    """Trading plans of the journal."""
    rows = recent(home / "state" / "journal.db", "plans", limit=10_000)
    return [row for row in rows if not row["slot"].startswith("risk@")]


def rewrite(home: Path, **changes: Any) -> None:
    """Another manifest under the same name, honest about its own digest."""
    folder = home / "models" / "alpha" / "mine"
    bundle = artifacts.read(folder, "alpha")
    shutil.rmtree(folder)
    artifacts.write(home / "models", "alpha", "mine", {**bundle.manifest, **changes}, bundle.files)


def test_a_promoted_model_decides_and_is_named_in_state_and_journal(own: Path) -> None:
    """Health ok, version and digest; other orders than without it; run and back-test agree."""
    digest = artifacts.read(own / "models" / "alpha" / "mine", "alpha").digest[:12]

    with_model = document(evenkeel(own, *RUN))
    assert with_model["opinions"]["alpha"]["health"] == "ok"
    assert said(own)["version"] == f"mine {digest}"
    assert all(f"mine {digest}" in json.dumps(row, default=str) for row in plans(own))
    tested = document(evenkeel(own, "backtest", *SMALL, "--json"))
    assert tested["orders_sha256"] == with_model["orders_sha256"]
    off = document(evenkeel(own, "backtest", *SMALL, "--set", "opinions.alpha=false", "--json"))
    assert off["orders_sha256"] != with_model["orders_sha256"]


def test_a_base_installation_serves_the_model(own: Path) -> None:
    """Nothing of the extra `train` is there: run and back-test give the orders of a full installation."""
    full = document(evenkeel(own, "backtest", *SMALL, "--json"))

    for words in (("backtest", *SMALL, "--json"), RUN):
        assert document(_base(own, *words))["orders_sha256"] == full["orders_sha256"]
    assert _base(own, "models", "verify").returncode == 0


def _base(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no training library can be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({TRAINING!r})); sys.argv = ['evenkeel', *{words!r}]\n"
        "from evenkeel.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=ROOT, check=False,
        env=environment(EVENKEEL_HOME=str(home)),
    )  # fmt: skip


def test_a_model_that_is_gone_is_missing_and_the_run_goes_on_without(own: Path) -> None:
    """No folder, no pointer: degraded, and the orders are those of a run that never wanted it."""
    shutil.rmtree(own / "models")

    gone = document(evenkeel(own, *RUN, "--set", "opinions.alpha=true"))

    assert gone["opinions"]["alpha"]["health"] == "missing"
    off = document(evenkeel(own, "backtest", *SMALL, "--set", "opinions.alpha=false", "--json"))
    assert off["orders_sha256"] == gone["orders_sha256"]


def test_a_pointer_to_nothing_is_refused(own: Path) -> None:
    """CURRENT names what is not there: somebody meant it, so it is no reason to trade without."""
    shutil.rmtree(own / "models" / "alpha" / "mine")

    assert_refused(evenkeel(own, *RUN), 3, "alpha mine is neither under")


def test_a_damaged_model_is_refused(own: Path) -> None:
    """One byte of a model's text: exit 3, the file and both digests named; nothing was begun."""
    path = own / "models" / "alpha" / "mine" / "model_24h.txt"
    path.write_bytes(path.read_bytes().replace(b"leaf_value", b"leaf_valuf", 1))

    assert_refused(evenkeel(own, *RUN), 3, "model_24h.txt", "SHA-256")
    assert not (own / "state" / "state.json").exists()


def test_a_model_of_other_features_is_refused(own: Path) -> None:
    """Another list of features in the manifest."""
    names = artifacts.read(own / "models" / "alpha" / "mine", "alpha").manifest["features"]
    rewrite(own, features={**names, "names": [*names["names"][:-1], "moon_phase"]})

    assert_refused(evenkeel(own, *RUN), 3, "moon_phase", "train a new version")


def test_a_model_without_evidence_on_the_bar_is_missing(own: Path) -> None:
    """It was judged on 1 h bars only, 30 m bars are served: not used, and the reason stands in the state."""
    rewrite(own, bars=[3600])

    document(evenkeel(own, *RUN))

    assert said(own)["health"] == "missing"
    assert "no evidence on 30m bars" in said(own)["reason"]


def test_an_expired_model_loses_its_weight_and_the_run_goes_on(own: Path) -> None:
    """A day after its expiry nothing is left: the orders are those of a run without it."""
    rewrite(own, expires=utc("2025-02-10") - 2 * DAY_S)

    expired = document(evenkeel(own, *RUN))

    assert said(own)["health"] == "expired"
    off = document(evenkeel(own, "backtest", *SMALL, "--set", "opinions.alpha=false", "--json"))
    assert off["orders_sha256"] == expired["orders_sha256"]


def test_a_model_that_was_trained_on_the_bars_shown_is_not_used(own: Path) -> None:
    """Unless it is asked for by name."""
    train = artifacts.read(own / "models" / "alpha" / "mine", "alpha").manifest["train"]
    rewrite(own, train={**train, "until": utc("2025-06-01")})

    document(evenkeel(own, *RUN))
    assert said(own)["health"] == "missing"
    assert "trained on what is shown here" in said(own)["reason"]

    shown = document(evenkeel(own, *RUN, "--set", "opinions.alpha_in_sample=true"))
    assert shown["opinions"]["alpha"]["health"] == "ok"
    assert shown["opinions"]["alpha"]["reason"].startswith("IN-SAMPLE")
