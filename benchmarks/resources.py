"""How much CPU `status` takes, and how much memory the service holds after a month and gains over the next one.

python benchmarks/resources.py [--months 2] [--source synthetic|perp_30m] [--days 31]: one JSON document on stdout.
Memory is read from /proc/<pid>/status while the replay runs, at the end of each month; limits are those of the README.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "perp_30m.parquet"
DAY = 86_400
LIMITS = {"status_cpu_s": 0.4, "rss_mb": 350.0, "growth_mb": 5.0}
START = {"synthetic": 1_739_145_600, "perp_30m": 1_748_736_000}  # 2025-02-10, 2025-06-01


def program(home: Path, *words: str) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "evenkeel", "--home", str(home), *words]


def status_cpu(home: Path, times: int = 5) -> float:
    """CPU seconds (user and system) of one `status`: the median."""
    spent = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(program(home, "status"), stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent)


def memory_mb(pid: int) -> dict[str, float]:
    """VmRSS and VmHWM of a process, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {name: int(kb) / 1024 for name, kb in found.items()}


def reached(home: Path) -> int:
    """Time of the newest risk slot that state.json knows; 0 while there is none."""
    try:
        watermarks = json.loads((home / "state" / "state.json").read_bytes())["memory"]["watermarks"]
    except (OSError, ValueError):
        return 0
    return int(watermarks.get("risk", 0))


def replayed(home: Path, source: str, days: int, months: int) -> dict[str, Any]:
    """Run the service over the months; its memory at the end of each."""
    start = START[source]
    if source == "perp_30m":
        subprocess.run(program(home, "data", "import", str(DATA), "--bar", "30m", "--json"), check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    kind = "replay" if source == "perp_30m" else "demo"
    words = ["--config", str(ROOT / "config" / f"{kind}.yaml")]
    for key, at in (("from", start), ("to", start + days * months * DAY)):
        words += ["--set", f"clock.{key}={time.strftime('%Y-%m-%d', time.gmtime(at))}"]
    process = subprocess.Popen(program(home, "run", *words, "--json"), stdout=subprocess.PIPE, text=True)
    samples = []
    for month in range(1, months + 1):
        latest: dict[str, float] = {}
        while reached(home) < start + days * month * DAY - 900 and process.poll() is None:
            latest = memory_mb(process.pid) or latest
            time.sleep(0.05)
        samples.append(latest or memory_mb(process.pid))  # before the end: the summary is no part of the loop
    out, _ = process.communicate()
    return {"samples": samples, "orders": json.loads(out)["metrics"]["orders"], "slots": json.loads(out)["slots"]}


def measure(source: str, days: int, months: int) -> dict[str, Any]:
    """All figures of one market."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        began = time.monotonic()
        run = replayed(home, source, days, months)
        seconds = time.monotonic() - began
        rss = [sample["VmRSS"] for sample in run["samples"]]
        return {
            "source": source,
            "days": days * months,
            "orders": run["orders"],
            "replay_s": round(seconds, 1),
            "status_cpu_s": round(status_cpu(home), 3),
            "rss_mb": [round(value, 1) for value in rss],
            "peak_mb": round(run["samples"][-1]["VmHWM"], 1),
            "growth_mb": round(rss[-1] - rss[0], 1),
            "limits": LIMITS,
        }


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=sorted(START), default="synthetic")
    parser.add_argument("--days", type=int, default=31, help="days of a month")
    parser.add_argument("--months", type=int, default=2)
    given = parser.parse_args()
    os.environ.pop("EVENKEEL_HOME", None)
    print(json.dumps(measure(given.source, given.days, given.months), indent=2))


if __name__ == "__main__":
    main()
