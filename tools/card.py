"""Write a model card from what the commands printed: no figure in it is typed by hand.

python tools/card.py train.json walk.json evaluate.json [evaluate.json ...] > models/alpha/v1/CARD.md
python tools/card.py train.json evaluate.json [evaluate.json ...] > models/policy/v1/CARD.md
python tools/card.py train.json [train.json ...] > models/kalshi/v1/CARD.md

They are the `--json` documents of `train alpha`, `walkforward` and `evaluate alpha --holdout`, in this order; or
those of `train policy` and `evaluate policy`; or those of `train kalshi`, one for each part.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kalshi_card
import policy_card
from card_text import figure, table

LOG = Path(__file__).resolve().parents[1] / "models" / "holdout.log"

EVIDENCE = ("decisions", "ic", "ic_t", "icir", "rank_ic", "rank_ic_t", "rank_ic_neutral", "rank_ic_neutral_t")
RUN = ("total_return", "cagr", "sharpe", "max_drawdown")


def main(words: list[str]) -> int:
    """Read the documents, print the card."""
    said = [json.loads(Path(word).read_text()) for word in words]
    if len(said) > 1 and said[0]["command"] == "train policy":
        print(policy_card.card(said[0], said[1:], LOG.read_text().splitlines()))
        return 0
    if said and said[0]["command"] == "train kalshi":
        print(kalshi_card.card(said))
        return 0
    if len(said) < 3:
        print("usage: python tools/card.py train.json [walk.json] evaluate.json [...]", file=sys.stderr)
        return 2
    train, walk, *judged = said
    print("\n".join([head(train), folds(train), portfolio(walk), holdout(judged), limits(train)]))
    return 0


def head(train: Mapping[str, Any]) -> str:
    """What the model is and how it was made."""
    read, fitted, search = train["data"], train["train"], train["search"]
    rows = max(fitted["rows"].values())
    files = " ".join(f"--data {one['file']}" for one in read)
    unread = ", ".join(f"{one['held_out']:,} bars of {one['file']}" for one in read)
    return f"""\
# alpha {train["version"]}

Two LightGBM models, 6 h and 24 h ahead, pooled over {len(train["universe"])} assets; label `{train["label"]}`;
digest `{train["digest"][:12]}`.

    evenkeel train alpha {files} --json

- learned from {fitted["bar"]} bars, {rows:,} rows, decisions {fitted["from"]} .. {fitted["until"]}
- held out, never read in training: {unread}
- served on {", ".join(train["bars"])} bars and no other; expires {train["expires"]}
- {train["trials"]} trials of parameters, objective {search["objective"]}, seed {search["seed"]}
- {train["seconds"]:.0f} s, peak memory {train["peak_rss_mb"]} MB
"""


def folds(train: Mapping[str, Any]) -> str:
    """Out-of-sample evidence of the search's folds, and as served."""
    rows = [
        [f"{fold['test'][0][:10]} .. {fold['test'][1][:10]}, {h} h", *evidence(one)]
        for fold in train["folds"]
        for h, one in sorted(fold["horizons"].items(), key=lambda item: int(item[0]))
    ]
    rows += [[f"**as served, {bar}**", *evidence(one)] for bar, one in train["evidence"].items()]
    return f"""\
## Out of sample, by fold

The parameters were chosen on these very folds, so the figures flatter; the walk-forward below searched nothing.

{table(["test", *EVIDENCE], rows)}
"""


def portfolio(walk: Mapping[str, Any]) -> str:
    """What portfolios of refitted models would have done, beside every baseline."""
    own, pbo, found = walk["portfolio"], walk["pbo"], walk["evidence"]
    first, last = walk["folds"][0]["test"][0][:10], walk["folds"][-1]["test"][1][:10]
    runs = [("walk-forward portfolio", own), *((one["strategy"], one) for one in walk["baselines"])]
    luck = f"not computed ({pbo['reason']})" if pbo["probability"] is None else figure(pbo["probability"], 2)
    verdicts = "\n".join(f"- {one['sentence']}" for one in walk["baselines"])
    return f"""\
## Walk-forward, net of costs

    evenkeel walkforward --data {walk["data"]["file"]} --json

{len(walk["folds"])} refits, tests {first} .. {last}, before the hold-out.
24 h: RankIC {figure(found["24h"]["rank_ic"])}, vol-neutral {figure(found["24h"]["rank_ic_neutral"])}.
As served: IC {figure(found["mixed"]["ic"])}, t {figure(found["mixed"]["ic_t"], 1)}.

{table(["", *RUN], [[name, *(figure(one[key], 3) for key in RUN)] for name, one in runs])}

- Sharpe ratio, 90 % interval: {own["sharpe_interval"][0]:.2f} .. {own["sharpe_interval"][1]:.2f}
- Deflated Sharpe ratio: {figure(own["deflated_sharpe"], 2)} after {own["trials"]} trials (`models/trials.jsonl`)
- Probability of back-test overfitting: {luck}
{verdicts}
"""


def holdout(judged: Sequence[Mapping[str, Any]]) -> str:
    """The look at the bars that nothing was chosen on."""
    commands = [f"    evenkeel evaluate alpha --data {one['data']['file']} --holdout --json\n" for one in judged]
    rows = [
        [
            f"{one['data']['file']}, {one['data']['bar']}, {one['from'][:10]} .. {one['to'][:10]}",
            *evidence(one["evidence"]),
        ]
        for one in judged
    ]
    return f"""\
## Hold-out

{"".join(commands)}

As served. Every look at these bars is a line of `models/holdout.log`.

{table(["", *EVIDENCE], rows)}
"""


def limits(train: Mapping[str, Any]) -> str:
    """What nobody should read into it."""
    return f"""\
## What it is not

- A forecast of returns: it orders assets against each other, and much of its order is volatility's.
- Proof of profit: the verdicts above stand as they are.
- Up to date: it was trained until {train["train"]["until"][:10]}.
- Free of survivors: coins that died before the data were collected are missing.
- Net of your costs: they are the paper venue's, a fee of 10 bp with spread and impact by tier."""


def evidence(found: Mapping[str, Any]) -> list[str]:
    """One row of figures."""
    return [figure(found[name]) for name in EVIDENCE]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
