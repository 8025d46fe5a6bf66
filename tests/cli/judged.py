"""Policy bundles with actors for each of their seeds, made by hand in no time: something to judge and to promote."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from evenkeel import artifacts
from evenkeel.signals import policy
from laws import taught


def bundle(folder: Path, version="v1", *, until, seeds=(3, 4), lesson_bars=24, bar_s=3_600, change=None, **how):
    """Write `folder/policy/<version>`: the first seed is the general actor; `change` may spoil the manifest."""
    with TemporaryDirectory() as place:
        made = taught.bundle(Path(place), version, until=until, bars=(bar_s,), seed=seeds[0], **how)
        files, manifest = dict(made.files), dict(made.manifest)
    drawn = {name: how[name] for name in ("gain", "still") if name in how}
    for seed in seeds:
        layers = taught.layers(seed, discrete=how.get("discrete", False), **drawn)
        files[f"seed_{seed}.json"] = orjson.dumps({"layers": layers})
    manifest["seeds"] = [{"seed": seed, "file": f"seed_{seed}.json"} for seed in seeds]
    manifest["train"] |= {"window_s": lesson_bars * bar_s}
    manifest["budgets"] = [1_000.0, 10_000.0]
    if change is not None:
        change(manifest)
    return artifacts.write(folder, policy.KIND, version, manifest, files)
