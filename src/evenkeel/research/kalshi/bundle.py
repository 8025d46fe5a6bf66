"""A study as a part of a bundle: the new part beside the others of the bundle in use, which are kept byte for byte.

One version is everything that the desk knows, so that one digest names it. Only `created` and what follows from it, and
what was kept, are not of data and seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import orjson

from evenkeel import artifacts
from evenkeel.artifacts import Bundle
from evenkeel.events import fitted
from evenkeel.research.kalshi.evidence import Study
from evenkeel.research.kalshi.source import Source
from evenkeel.units import DAY_S

LIBRARIES = ("numpy", "scikit-learn")


def part(study: Study, source: Source, seed: int, expires: int) -> bytes:
    """The file of a part. expires  UTC s."""
    judged = source.quotes
    content: dict[str, Any] = {
        "model": study.model,
        "golden": study.golden,
        "expires": expires,
        "train": {
            "until": study.train_end, "seed": seed, "files": source.digests(),
            "quotes_from": int(judged.time.min()), "quotes_until": int(judged.time.max()),
        },
        "evidence": {one.series: one.to_json() for one in study.judgement.worth},
        "words": list(study.words),
    }  # fmt: skip
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def write(
    folder: Path, version: str, study: Study, source: Source, base: Bundle | None, *, seed: int, created: int, days: int
) -> Bundle:
    """A new version under `folder`: this part, and the other parts of `base`.

    created  UTC s · days  until the part expires. Raises ArtifactError for a version that exists, or a part that does
    not replay: that is found here, not by the desk.
    """
    expires = created + days * DAY_S
    files = dict(base.files) if base is not None else {}
    files[fitted.file_of(study.part)] = part(study, source, seed, expires)
    files = {name: data for name, data in files.items() if name in map(fitted.file_of, fitted.PARTS)}
    said = {name: orjson.loads(data) for name, data in sorted(files.items())}
    ends = [one["train"]["until"] for one in said.values() if one["train"]["until"] is not None]
    manifest = {
        "created": created,
        "expires": min(int(one["expires"]) for one in said.values()),
        "train": {"until": max(ends, default=None)},
        "parts": {name.removesuffix(".json"): _told(one) for name, one in said.items()},
        "base": None if base is None else {"version": base.version, "digest": base.digest},
        "libraries": {name: installed(name) for name in LIBRARIES},
    }  # fmt: skip
    bundle = artifacts.write(folder, fitted.KIND, version, manifest, files)
    fitted.load(bundle.path)
    return bundle


def _told(part_: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest repeats of a part."""
    return {"expires": part_["expires"], "train": part_["train"], "series": sorted(part_["evidence"])}
