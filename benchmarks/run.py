"""evenkeel beside its peers, in turn, on one panel: ratios that another machine should find again.

python benchmarks/run.py [--only plain,full,features,live,growth,rl,kalshi] [--repeat N] [--json]

Every run is a process of its own, started in turn with the peers' (ours, theirs, ours, theirs), because machines
drift by a factor of two within minutes: a ratio is the median of the quotients of runs that stood side by side, never
a quotient of medians. Peers live in their own environments under `.peers/` (`make peers`). One JSON document on
stdout: `ratios`, `goals`, the `split` of the full path, what stands `beside` the ratios of `rl`, every run with its
wall and CPU seconds and peak memory.
A peer that is not installed is said to be missing; its ratios are null.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bars import ASSETS, BARS, folder

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".peers"
SUITES = ("plain", "full", "features", "live", "growth", "rl", "kalshi")
RL = ("rl env", "rl ppo", "rl score", "rl act", "rl step", "rl start")
"""What `rl` consists of; its processes warm up by themselves, so that no round of theirs is thrown away."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""What every process runs in: ours may keep its compiled code, as the peers' installed packages keep theirs."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
YEAR = 17_520
LIVE_BARS, LIVE_ASSETS = 4_000, 88
CONTRACTS = 3_000
SCORE, LESSER_SCORE = 30, 20
"""Sharpe ratios a year that the planted pattern is learned to: ours levels off near 37, 20 is the tests' bar."""
FEATURE_TIMES = 5
"""Calls in one process, of which the middle one counts, ours too: the first ones touch memory for the first time."""
TA_ASSETS = 4
"""`ta` takes a quarter of a second an asset: a few are enough, each costs the same."""

GOALS = {
    "plain_vs_vectorbt": "<= 0.5", "plain_vs_numba": "<= 2", "full_vs_vectorbt_plain": "<= 5, better 2.5",
    "features_vs_ta": ">= 40", "features_vs_talib": "> 1", "features_vs_pandas": "> 1", "live_vs_talib": "<= 4",
    "growth_assets": "<= 1.1", "growth_years": "<= 1.1", "full_peak_mb": "< 1500",
    "env_vs_anytrading": ">= 10", "env_vs_gym_trading_env": ">= 40", "ppo_vs_sb3_same_settings": ">= 2.3",
    "time_to_score_vs_sb3": "<= 0.2", "inference_vs_predict": ">= 8", "kalshi_scan_s": "< 1",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One process: wall and CPU seconds, peak memory, what it printed."""

    suite: str
    name: str
    round: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    said: Mapping[str, Any]


def ran(suite: str, name: str, number: int, command: Sequence[str]) -> Run | None:
    """Run a command alone and measure it; None where its interpreter is not there."""
    if not Path(command[0]).exists():
        return None
    began = time.perf_counter()
    environment = ENVIRONMENT | (ONE_THREAD if suite in RL else {})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE, env=environment, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    print(f"  {suite} {name} #{number}: {wall:.2f} s, {used.ru_maxrss / 1024:.0f} MB", file=sys.stderr)
    cpu = used.ru_utime + used.ru_stime
    said = json.loads(out.strip().splitlines()[-1])
    return Run(suite, name, number, round(wall, 3), round(cpu, 3), round(used.ru_maxrss / 1024, 1), said)


def ours(script: str, *words: object) -> list[str]:
    """A command of ours."""
    return [sys.executable, str(HERE / f"{script}.py"), *map(str, words)]


def theirs(peer: str, script: str, *words: object) -> list[str]:
    """A command of a peer, in its own environment."""
    return [str(PEERS / peer / "bin" / "python"), str(HERE / "peers" / f"{script}.py"), *map(str, words)]


def schools() -> dict[str, Path]:
    """The two schools of `rl`, written anew as plain files."""
    found = {}
    for name in ("panel", "planted"):
        found[name] = PEERS / f"rl-{name}"
        ran("rl", f"data {name}", 0, ours("rl_data", name, found[name]))
    return found


def rl_commands(suite: str, where: Mapping[str, Path], number: int) -> dict[str, list[str]]:
    """What one round of a part of `rl` runs, in this order; the round's number is its seed."""
    what, at = suite.removeprefix("rl "), where["planted" if suite == "rl score" else "panel"]
    if what == "env":
        peers = {name: theirs("rl", "rl_env", name, at, number) for name in ("anytrading", "trading_env", "hand")}
        return {"evenkeel": ours("rl_learn", what, at, number), **peers}
    if what == "step":
        return {"evenkeel": ours("full", folder(bars=YEAR // 4), "--no-model")}
    if what == "start":
        return {name: ours("startup", name) for name in ("service", "training")}
    if what == "act":
        return {"evenkeel": ours("rl_books", what, at, number), "sb3": theirs("rl", "rl_predict", at, number)}
    words: list[object] = [SCORE, *ours("rl_books", "judge", at)] if what == "score" else []
    mine = ours("rl_learn", what, at, number, *words)
    return {"evenkeel": mine, "sb3": theirs("rl", "rl_sb3", what, at, number, *words)}


def rl(repeat: int) -> list[Run]:
    """All rounds of all parts of `rl`."""
    where, found = schools(), []
    for suite in RL:
        for number in range(1, repeat + 1):
            todo = rl_commands(suite, where, number)
            found += [ran(suite, name, number, command) for name, command in todo.items()]
    return [run for run in found if run is not None]


def commands(suite: str) -> dict[str, list[str]]:
    """What one round of a suite runs, in this order."""
    if suite == "plain":
        where = folder()
        peers = {peer: theirs(peer, f"plain_{peer}", where) for peer in ("vectorbt", "numba", "bt")}
        return {"evenkeel": ours("plain", where), **peers}
    if suite == "full":
        where = folder()
        return {"evenkeel": ours("full", where), "vectorbt": theirs("vectorbt", "plain_vectorbt", where)}
    if suite == "features":
        where = folder()
        return {
            "evenkeel": ours("kernels", "features", where),
            "talib": theirs("talib", "features_talib", where, "--times", FEATURE_TIMES),
            "pandas": theirs("ta", "features_pandas", where, "--times", FEATURE_TIMES),
            "ta": theirs("ta", "features_ta", where, "--assets", TA_ASSETS),
            "evenkeel eleven": ours("kernels", "eleven", where),
            "ta eleven": theirs("ta", "features_ta", where, "--assets", TA_ASSETS, "--eleven"),
        }
    if suite == "kalshi":
        return {"evenkeel": ours("kalshi_scan", CONTRACTS, "--json")}
    where = folder(LIVE_ASSETS, LIVE_BARS)
    window = ran("live", "window", 0, ours("kernels", "live", where))
    assert window is not None
    bars = window.said["bars"]
    return {
        "evenkeel": ours("kernels", "live", where),
        "talib": theirs("talib", "features_talib", where, "--bars", bars, "--times", 9),
    }


def measured(suite: str, repeat: int) -> list[Run]:
    """All rounds of a suite, after one unmeasured round that warms caches (files, compiled code)."""
    todo = commands(suite)
    for name, command in todo.items():
        ran(suite, f"{name} (warm-up)", 0, command)
    found = [ran(suite, name, number, command) for number in range(1, repeat + 1) for name, command in todo.items()]
    return [run for run in found if run is not None]


def growth() -> list[Run]:
    """The full path on 80 to 640 assets over a quarter, and on 20 assets over 1 to 8 years."""
    sizes = [("assets", n, n, YEAR // 4) for n in (80, 160, 320, 640)]
    sizes += [("years", years, 20, years * YEAR) for years in (1, 2, 4, 8)]
    found = []
    for what, size, assets, bars in sizes:
        run = ran("growth", f"{what} {size}", 1, ours("full", folder(assets, bars)))
        assert run is not None
        found.append(run)
    return found


def quotient(runs: Sequence[Run], suite: str, over: str, under: str, key: str = "wall_s") -> float | None:
    """Median over the rounds of one name's figure over another's.

    key  of the run, or of what it says; `per_asset` divides its seconds by its assets, `score N` is `to_score`
    """

    def figure(run: Run) -> float:
        if key == "per_asset":
            return run.said["seconds"] / run.said["assets"]
        if key.startswith("score"):
            return to_score(run, float(key.split()[1]))
        return float(run.said[key] if key in run.said else getattr(run, key))

    by_round: dict[int, dict[str, float]] = {}
    for run in runs:
        if run.suite == suite:
            by_round.setdefault(run.round, {})[run.name] = figure(run)
    pairs = [row[over] / row[under] for row in by_round.values() if over in row and under in row]
    return round(statistics.median(pairs), 3) if pairs else None


def within(runs: Sequence[Run], suite: str, over: str, under: str = "") -> float | None:
    """Median over the rounds of a figure that processes of ours say, or of its ratio to another of the same process."""
    said = [run.said for run in runs if run.suite == suite]
    values = [row[over] / (row[under] if under else 1.0) for row in said]
    return round(statistics.median(values), 3) if values else None


def to_score(run: Run, score: float) -> float:
    """Wall seconds from the start of the process until a score was reached, without judging; infinite where never."""
    clock, end = run.said["clock"], run.wall_s - run.said["judged_s"]
    reached = [at for at, found in zip(clock, run.said["scores"], strict=True) if found >= score]
    return end - clock[-1] + reached[0] if reached else math.inf


def exponent(runs: Sequence[Run], what: str) -> float | None:
    """Least-squares slope of log(seconds after the start) on log(size): 1 = linear."""
    points = [
        (math.log(float(run.name.split()[1])), math.log(run.wall_s - run.said["split"]["start"]))
        for run in runs
        if run.suite == "growth" and run.name.startswith(what)
    ]
    return round(statistics.linear_regression(*zip(*points, strict=True)).slope, 3) if len(points) > 1 else None


def ratios(runs: Sequence[Run]) -> dict[str, float | None]:
    """All ratios that the runs allow; null where a part was not run."""
    return {
        "plain_vs_vectorbt": quotient(runs, "plain", "evenkeel", "vectorbt"),
        "plain_vs_numba": quotient(runs, "plain", "evenkeel", "numba"),
        "plain_vs_bt": quotient(runs, "plain", "evenkeel", "bt"),
        "full_vs_vectorbt_plain": quotient(runs, "full", "evenkeel", "vectorbt"),
        "features_vs_ta": quotient(runs, "features", "ta eleven", "evenkeel eleven", "per_asset"),
        "features_vs_ta_table": quotient(runs, "features", "ta", "evenkeel", "per_asset"),
        "features_vs_talib": quotient(runs, "features", "talib", "evenkeel", "per_asset"),
        "features_vs_pandas": quotient(runs, "features", "pandas", "evenkeel", "per_asset"),
        "live_vs_talib": quotient(runs, "live", "evenkeel", "talib", "per_asset"),
        "growth_assets": exponent(runs, "assets"),
        "growth_years": exponent(runs, "years"),
        "full_peak_mb": max(
            (run.peak_mb for run in runs if (run.suite, run.name) == ("full", "evenkeel")), default=None
        ),
        "env_vs_anytrading": quotient(runs, "rl env", "evenkeel", "anytrading", "rate"),
        "env_vs_gym_trading_env": quotient(runs, "rl env", "evenkeel", "trading_env", "rate"),
        "env_vs_hand_written": quotient(runs, "rl env", "evenkeel", "hand", "rate"),
        "ppo_vs_sb3_same_settings": quotient(runs, "rl ppo", "evenkeel", "sb3", "rate"),
        "time_to_score_vs_sb3": quotient(runs, "rl score", "evenkeel", "sb3", f"score {SCORE}"),
        "time_to_lesser_score_vs_sb3": quotient(runs, "rl score", "evenkeel", "sb3", f"score {LESSER_SCORE}"),
        "inference_vs_predict": quotient(runs, "rl act", "sb3", "evenkeel", "continuous"),
        "inference_vs_predict_masked": quotient(runs, "rl act", "sb3", "evenkeel", "discrete"),
        "start_without_torch": quotient(runs, "rl start", "service", "training"),
        "kalshi_scan_s": within(runs, "kalshi", "whole_s"),
        "kalshi_loop_vs_scan": within(runs, "kalshi", "loop_s", "whole_s"),
        "kalshi_loop_vs_steps": within(runs, "kalshi", "loop_s", "steps_s"),
        "memory_without_torch": quotient(runs, "rl start", "service", "training", "peak_mb"),
    }


def beside(runs: Sequence[Run]) -> dict[str, float]:
    """Figures that stand beside the ratios of `rl`: medians, of this machine at this hour.

    portfolio_steps_a_s  decisions of the back-test x assets, risk slots included; slots of the school cost less because
    they know no portfolio
    """

    def middle(suite: str, name: str, figure: Callable[[Run], float]) -> float | None:
        values = [figure(run) for run in runs if (run.suite, run.name) == (suite, name)]
        return round(statistics.median(values), 2) if values else None

    def decided(run: Run) -> float:
        count = sum(sum(outcomes.values()) for outcomes in run.said["slots"].values())
        return float(count * ASSETS / run.said["split"]["decide"])

    found = {f"{name}_steps_a_s": middle("rl env", name, lambda run: run.said["rate"])
             for name in ("evenkeel", "anytrading", "trading_env", "hand")}  # fmt: skip
    found["portfolio_steps_a_s"] = middle("rl step", "evenkeel", decided)
    for name in ("evenkeel", "sb3"):
        found[f"{name}_training_steps_a_s"] = middle("rl ppo", name, lambda run: run.said["rate"])
        found[f"{name}_to_score_s"] = middle("rl score", name, lambda run: to_score(run, SCORE))
        found[f"{name}_to_score_steps"] = middle("rl score", name, lambda run: run.said["steps"])
        found[f"{name}_inference_us"] = middle("rl act", name, lambda run: run.said["continuous"])
        found[f"{name}_inference_masked_us"] = middle("rl act", name, lambda run: run.said["discrete"])
    for name in ("service", "training"):
        found[f"{name}_start_s"] = middle("rl start", name, lambda run: run.wall_s)
        found[f"{name}_peak_mb"] = middle("rl start", name, lambda run: run.peak_mb)
    return {name: value for name, value in found.items() if value is not None}


def agreement(runs: Sequence[Run]) -> dict[str, float]:
    """Relative difference of each peer's final equity from ours: the plain rule, and a book of fixed actions."""
    found: dict[str, float] = {}
    for suite, key in (("plain", "final"), ("rl env", "worth")):
        final = {run.name: run.said[key] for run in runs if run.suite == suite and key in run.said}
        found |= {name: value / final["evenkeel"] - 1.0 for name, value in final.items() if name != "evenkeel"}
    return found


def split(runs: Sequence[Run]) -> dict[str, float]:
    """Median seconds of each part of the full path."""
    parts = [run.said["split"] for run in runs if (run.suite, run.name) == ("full", "evenkeel")]
    return {part: round(statistics.median(p[part] for p in parts), 3) for part in parts[0]} if parts else {}


def met(goal: str, value: float | None) -> bool | None:
    """Whether a goal is reached; the first figure counts."""
    if value is None:
        return None
    sign, limit = goal.replace(",", "").split()[:2]
    return {"<=": value <= float(limit), "<": value < float(limit), ">=": value >= float(limit),
            ">": value > float(limit)}[sign]  # fmt: skip


def shown(document: Mapping[str, Any]) -> None:
    """The ratios for people."""
    for name, value in document["ratios"].items():
        goal = document["goals"].get(name)
        said = "" if goal is None else f"  goal {goal['goal']}: {'met' if goal['met'] else 'MISSED'}"
        if value is not None:
            print(f"{name:28} {value:10.3f}{said}")
    for name, value in document["agreement"].items():
        print(f"final equity of {name}: {value:+.1e} relative to ours")
    for name, value in document["beside"].items():
        print(f"{name:32} {value:14,.2f}")
    if document["split"]:
        print("full path: " + ", ".join(f"{part} {value:.2f} s" for part, value in document["split"].items()))


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SUITES), help="comma-separated: " + ", ".join(SUITES))
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each suite")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    given = parser.parse_args()
    wanted = given.only.split(",")
    unknown = [suite for suite in wanted if suite not in SUITES]
    if unknown or given.repeat < 1:
        parser.error(
            f"--only {given.only} --repeat {given.repeat}: ask for some of {', '.join(SUITES)}, one round or more"
        )
    runs: list[Run] = []
    for suite in wanted:
        if suite == "growth":
            runs += growth()
        else:
            runs += rl(given.repeat) if suite == "rl" else measured(suite, given.repeat)
    found = ratios(runs)
    missing = sorted(
        p for p in ("vectorbt", "numba", "bt", "talib", "ta", "rl") if not (PEERS / p / "bin" / "python").exists()
    )
    document = {
        "panel": {"assets": ASSETS, "bars": BARS},
        "ratios": found,
        "goals": {name: {"goal": goal, "met": met(goal, found[name])} for name, goal in GOALS.items() if found[name]},
        "agreement": agreement(runs),
        "split": split(runs),
        "beside": beside(runs),
        "missing": missing,
        "runs": [asdict(run) for run in runs],
    }
    if given.json:
        print(json.dumps(document, indent=2))
    else:
        shown(document)


if __name__ == "__main__":
    main()
