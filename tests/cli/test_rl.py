"""The RL trader as a job: what `run` may be asked for, how the policy is shown, and what happens without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.program import environment
from evenkeel import artifacts
from evenkeel.units import DAY_S, utc
from laws import taught

ROOT = Path(__file__).resolve().parents[2]
BEGIN = utc("2025-02-10")
PAST = (
    "--config", "config/rl.yaml", "--set", "clock.kind=virtual", "--set", "clock.from=2025-02-10",
    "--set", "feed.kind=synthetic", "--set", "history.days=40",
)  # fmt: skip
JOB = ("--symbols", "BTC-USD,ETH/USD,sol", "--capital", "5000", "--duration", "12h")
BLEND = (
    "--config", "config/demo.yaml", "--set", "universe.only=[BTC, ETH, SOL, XRP, DOGE, BNB, LINK, ADA]",
    "--set", "universe.stocks=false", "--set", "clock.to=2025-02-10T06:30",
)  # fmt: skip


@pytest.fixture
def taught_home(tmp_path):
    """Make a home with a promoted policy."""

    def make(name="home", **how):
        home = tmp_path / name
        taught.bundle(home / "models", "mine", until=BEGIN - 3 * DAY_S, **how)
        artifacts.promote("policy", "mine", home / "models", home / "none")
        return home

    return make


def rewrite(home, **changes):
    """Another manifest under the same name, honest about its own digest."""
    folder = home / "models" / "policy" / "mine"
    bundle = artifacts.read(folder, "policy")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    artifacts.write(home / "models", "policy", "mine", {**bundle.manifest, **changes}, bundle.files)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--symbols", "BTC-USD,NOPE-USD"), ("NOPE is not in universe.yaml", "did you mean OPEN?")),
        (("--symbols", "BTC-EUR,ETH-USD"), ("BTC is traded as BTC-USD",)),
        (("--symbols", "BTC-,ETH"), ("BTC is traded as BTC-USD",)),
        (("--symbols", "BTC-USD,ETH-USD,BTC"), ("BTC stands twice",)),
        (("--symbols", "ETH-USD"), ("every signal needs BTC",)),
        (("--symbols", "BTC-USD,SUI-USD"), ("no symbol of SUI at coinbase",)),
        (("--symbols", "BTC,,ETH"), ("empty name",)),
        (("--symbols", ""), ("empty name",)),
        (("--capital", "51"), ("largest position would be 9.89 USD", "least order is 10 USD", "give 52 USD or more")),
        (("--symbols", "BTC,ETH", "--capital", "20"), ("largest position would be 9.70 USD",)),
        (("--capital", "much"), ("--capital much: give USD as a number",)),
        (("--capital", "-1"), ("--capital -1: give USD as a number above 0",)),
        (("--capital", "nan"), ("--capital nan",)),
        (("--duration", "soon"), ("--duration soon: write such as 24h",)),
        (("--duration", "24"), ("--duration 24: write such as 24h",)),
        (("--duration", "-1h"), ("--duration -1h",)),
        (("--duration", "9999w"), ("ten years at most",)),
        (("--duration", "1h", "--once", "risk"), ("--once runs one slot and ends",)),
        (("--strategy", "policy", "--set", "opinions.policy=false"), ("decides by opinions.policy, which is false",)),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, tmp_path, words, said):
    done = run(tmp_path, "run", "--config", "config/rl.yaml", *words)

    assert done.code == 2
    assert done.err.startswith("evenkeel: ")
    assert done.err.count("\n") == 1
    for part in said:
        assert part in done.err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("how", [{}, {"discrete": True, "specialists": ("trend", "down")}], ids=["one", "routed"])
def test_the_job_over_past_bars_is_its_back_test(run, taught_home, how):
    """Its coins, its cash, its hours, from a window that has a beginning only; state and journal name the policy."""
    home = taught_home(**how)
    ran = run(home, "run", *PAST, *JOB, "--json")
    window = ("--from", "2025-02-10", "--to", "2025-02-10T12:00", "--universe", "BTC,ETH,SOL", "--capital", "5000")
    tested = run(home, "backtest", *PAST, *window, "--json")

    assert (ran.code, tested.code) == (0, 0), ran.err + tested.err
    assert (ran.json["from"], ran.json["to"]) == ("2025-02-10T00:00:00Z", "2025-02-10T12:00:00Z")
    assert ran.json["orders_sha256"] == tested.json["orders_sha256"]
    assert ran.json["config_digest"] == tested.json["config_digest"]
    assert ran.json["metrics"]["orders"] > 3
    assert ran.json["opinions"]["policy"]["health"] == "ok"
    assert run(home, "status", "--json").json["opinions"]["policy"]["version"].startswith("mine ")
    assert run(home, "parity", "--from-journal", "--json").json["identical"] is True
    assert "opinions" not in run(home, "logs", "--json").err
    told = run(home, "doctor", "--json")
    assert {c["status"] for c in told.json["checks"] if c["text"].startswith("policy mine")} == {"ok"}


def test_a_duration_of_nothing_is_the_whole_window(run, taught_home):
    ended = run(taught_home(), "run", *PAST, "--set", "clock.to=2025-02-10T06:00", "--duration", "0", "--json")

    assert ended.json["to"] == "2025-02-10T06:00:00Z"


def test_the_job_needs_no_training_library(taught_home):
    """A service with a policy in: torch, stable-baselines3 and gymnasium are not even looked for."""
    code = (
        f"import sys; sys.argv = ['evenkeel', '--home', {str(taught_home())!r}, 'run', *{(*PAST, *JOB, '--json')!r}]\n"
        "from evenkeel.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "names = ('torch', 'stable_baselines3', 'sb3_contrib', 'gymnasium', 'evenkeel.research')\n"
        "assert not [name for name in names if name in sys.modules]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
        env=environment(),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["opinions"]["policy"]["health"] == "ok"


def test_without_a_model_the_job_says_missing_and_buys_nothing(run, tmp_path):
    ran = run(tmp_path, "run", *PAST, *JOB, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["opinions"]["policy"]["health"] == "missing"
    assert ran.json["opinions"]["policy"]["reason"]
    assert ran.json["metrics"]["orders"] == 0
    assert ran.json["slots"]["risk"] == {"done": 48, "skipped": 0, "failed": 0}
    why = run(tmp_path, "why", "ETH", "--json").json
    assert (why["policy"], why["wanted"], why["target"]) == (None, None, 0.0)
    assert "the strategy has no wish" in run(tmp_path, "why", "ETH").out
    check = run(tmp_path, "status", "--check")
    assert check.code == 5
    assert check.out.startswith("degraded: no opinion is ok (policy missing: ")


def test_why_shows_the_tilt_who_spoke_and_the_weight_without(run, taught_home, fingerprint):
    """In the blend: raw and target without it are those of a plan with the policy switched off; nothing is touched."""
    home = taught_home(specialists=("trend", "down"))
    assert run(home, "run", *BLEND, "--json").code == 0
    digest = [fingerprint(home / name) for name in ("models", "logs")], (home / "state" / "state.json").read_bytes()
    told = {a: run(home, "why", a, "--at", "2025-02-10", "--json").json for a in ("SOL", "BTC", "DOGE")}
    page = " ".join(run(home, "why", "SOL", "--at", "2025-02-10").out.split())
    off = run(home, "plan", *BLEND, "--set", "opinions.policy=false", "--at", "2025-02-10", "--json").json
    without = {row["asset"]: row for row in off["targets"]}

    now = [fingerprint(home / name) for name in ("models", "logs")], (home / "state" / "state.json").read_bytes()
    assert now == digest
    for asset, why in told.items():
        said, regime = why["policy"], why["regime"]["probabilities"]
        assert said["tilt"] == why["opinions"]["policy"]["value"]
        assert said["mode"] == "continuous"
        assert said["actors"] == pytest.approx(
            {"trend": regime["trend"], "general": regime["chop"], "down": regime["down"]}
        )
        other = without.get(asset, {"raw": 0.0, "target": 0.0})
        assert said["without"] == pytest.approx({"raw": other["raw"], "target": other["target"]})
    assert any(why["raw"] != pytest.approx(why["policy"]["without"]["raw"]) for why in told.values())
    assert "policy ok, x " in page
    assert "spoken by trend " in page
    assert "; without it raw " in page


def test_why_of_the_job_shows_what_is_wished(run, taught_home):
    """Without the policy nothing moves."""
    home = taught_home(still=True, eager=0.5)
    assert run(home, "run", *PAST, *JOB, "--json").code == 0
    why = run(home, "why", "ETH", "--at", "2025-02-10", "--json").json

    assert why["method"] == "direct"
    assert why["wanted"] == why["raw"] == pytest.approx(0.5 * 0.97 / 3)
    assert why["policy"] == {
        "tilt": pytest.approx(0.5), "mode": "continuous", "actors": {"general": 1.0},
        "without": {"raw": 0.0, "target": 0.0},
    }  # fmt: skip


def test_doubtful_answers_are_said_in_status_and_why(run, taught_home):
    home = taught_home(gain=1e4)
    ran = run(home, "run", *PAST, *JOB, "--json")

    assert ran.json["metrics"]["orders"] == 0
    assert ran.json["opinions"]["policy"]["health"] == "ok"
    why = run(home, "why", "ETH", "--at", "2025-02-10", "--json").json
    assert why["opinions"]["policy"]["value"] == 0.0
    assert why["opinions"]["policy"]["reason"].startswith("neutral on BTC, ETH, SOL: beyond what was learned")
    page = " ".join(run(home, "why", "ETH", "--at", "2025-02-10").out.split())
    assert "(neutral on BTC, ETH, SOL: beyond what was learned)" in page


def test_a_damaged_policy_is_refused(run, taught_home):
    """One byte of an actor: exit 3, file and digests named, nothing begun; `plan` says the same."""
    home = taught_home()
    path = home / "models" / "policy" / "mine" / "general.json"
    path.write_bytes(path.read_bytes().replace(b"weight", b"weighs", 1))

    for command in ("run", "plan"):
        done = run(home, command, *PAST, "--set", "clock.to=2025-02-11")
        assert done.code == 3
        assert done.err.count("\n") == 1
        assert "general.json has SHA-256" in done.err
    assert not (home / "state" / "state.json").exists()


def test_a_policy_of_other_features_or_observations_is_refused(run, taught_home):
    """Another feature, another list of inputs, golden rows that it does not answer as it did."""
    changes = (
        ("features", "names", "moon_phase"),
        ("observation", "names", "observes other inputs"),
    )
    for section, key, said in changes:
        home = taught_home(section)
        was = artifacts.read(home / "models" / "policy" / "mine", "policy").manifest[section]
        rewrite(home, **{section: {**was, key: [*was[key][:-1], "moon_phase"]}})
        done = run(home, "run", *PAST, *JOB)
        assert (done.code, done.err.count("\n")) == (3, 1)
        assert said in done.err
        assert "train a new version" in done.err


def test_a_policy_without_evidence_on_the_bar_is_missing(run, taught_home):
    """Taught and judged on 30-minute bars only: on hours it says so, and the loop goes on."""
    home = taught_home(bars=(1_800,))
    ran = run(home, "run", *PAST, *JOB, "--json")

    assert (ran.code, ran.json["metrics"]["orders"]) == (0, 0)
    assert ran.json["opinions"]["policy"]["health"] == "missing"
    assert "no evidence on 1h bars" in ran.json["opinions"]["policy"]["reason"]


@pytest.mark.slow
def test_a_report_shows_what_the_run_is_worth_without_the_policy(run, taught_home, tmp_path):
    """In the blend as an ablation of its own; alone there is nothing to leave out but the overlay."""
    home, page = taught_home(), tmp_path / "page.html"
    blend = run(home, "backtest", *BLEND, "--set", "clock.to=2025-02-13", "--report", str(page), "--json")
    assert blend.code == 0, blend.err
    assert "without policy" in page.read_text()
    assert "24 h policy" in page.read_text()
    alone = run(home, "backtest", *PAST, "--set", "clock.to=2025-02-13", "--report", str(page), "--json")
    assert alone.code == 0, alone.err
    assert "nothing else decides" in page.read_text()
