"""Golden rows are such that each actor is believed with room: another processor's last bit refuses no bundle."""

import numpy as np
import orjson
import pytest

from evenkeel.errors import NotReadyError
from evenkeel.research import policy_bundle
from research.learning import SMALL
from signals.straight import line


def golden(monkeypatch, **actors):
    """Of actors that say the same of everything, in the place of trained networks."""
    free = np.ones((policy_bundle.GOLDEN_ROWS, 3), dtype=bool)
    monkeypatch.setattr(policy_bundle, "actor_in", lambda actor, *_, **__: actor)
    monkeypatch.setattr(policy_bundle, "predicted", lambda actor, _, seen, *__, **___: actor.act(seen, free).tolist())
    return orjson.loads(policy_bundle.golden(actors, SMALL))


@pytest.mark.parametrize("said", [4.96, -4.96, 5.5])
def test_where_one_actor_is_hardly_believed_there_is_no_golden_row(monkeypatch, said):
    with pytest.raises(NotReadyError, match="it has learned nothing"):
        golden(monkeypatch, general=line(0.2), chop=line(said))


def test_an_actor_far_out_but_believed_is_in_them(monkeypatch):
    assert golden(monkeypatch, general=line(4.9))["output"]["general"] == [1.0] * policy_bundle.GOLDEN_ROWS
