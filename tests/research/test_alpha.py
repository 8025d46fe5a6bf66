"""The opinion as it is served: bits that do not depend on what is around, refusals, and weight that runs out."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from evenkeel import artifacts
from evenkeel.errors import ArtifactError
from evenkeel.market import features
from evenkeel.market import panel as panels
from evenkeel.signals import alpha
from evenkeel.signals.blend import ShareByRegime, strength
from evenkeel.types import Health

HOUR, DAY = 3600, 86_400
CUT = 2000


@pytest.fixture(scope="module")
def model(trained):
    """Load the small model."""
    return alpha.load(trained.bundle.path, HOUR)


@pytest.fixture(scope="module")
def whole(market):
    """Features of all rows."""
    return features.compute(market)


def regimes(rows):
    out = np.full((rows, 6), 1 / 3)
    out[:, :3] = np.random.default_rng(2).dirichlet([1, 1, 1], rows)
    return out


def rows_of(wide, start, stop=None):
    return replace(wide, values=wide.values[start:stop], market=wide.market[start:stop])


def asked(model, wide, market, start=0, stop=None, **more):
    time = market.time[start:stop]
    likely = regimes(len(market.time))[start:stop]
    return alpha.forecast((model,), rows_of(wide, start, stop), time, likely, HOUR, ShareByRegime(), **more).x


def same_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def test_a_row_has_the_same_bits_in_any_cut(model, whole, market):
    every = asked(model, whole, market, in_sample=True)

    for start in (CUT, CUT + 1, CUT + 17, CUT + 40):
        assert same_bits(asked(model, whole, market, start - 48, in_sample=True)[48:], every[start:])
    last = len(market.time) - 1
    assert same_bits(asked(model, whole, market, last - 48, in_sample=True)[-1], every[-1])
    assert np.isfinite(every[-1]).all()


def test_a_forecast_of_one_row_has_the_bits_of_the_batch(model, whole):
    every = alpha.predict(model.forest, whole)

    for t in (CUT, len(whole.values) - 1):
        one = alpha.predict(model.forest, rows_of(whole, t, t + 1))
        assert all(same_bits(one[h][0], every[h][t]) for h in (6, 24))


def test_the_future_changes_no_bit(model, market, whole):
    """Rows that end at CUT, and a poisoned future, give the same past."""
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for array in fields.values():
        array[CUT + 1 :] = np.random.default_rng(5).lognormal(0, 5, array[CUT + 1 :].shape)
    poisoned = panels.panel(market.time, market.assets, bar_s=HOUR, **fields)
    every = asked(model, whole, market, in_sample=True)[: CUT + 1]

    short = panels.rows(market, 0, CUT + 1)
    ended = alpha.forecast(
        (model,),
        features.compute(short),
        short.time,
        regimes(len(market.time))[: CUT + 1],
        HOUR,
        ShareByRegime(),
        in_sample=True,
    ).x
    lied = asked(model, features.compute(poisoned), market, in_sample=True)[: CUT + 1]

    assert same_bits(ended, every)
    assert same_bits(lied, every)


def test_rows_that_may_have_been_trained_on_are_unknown(model, whole, market):
    early = replace(model, train_end=int(market.time[CUT]))
    first = CUT + 24 + 1

    found = asked(early, whole, market)

    assert np.isnan(found[:first]).all()
    assert np.isfinite(found[first:]).all()
    assert np.isnan(asked(model, whole, market)[:-26]).all()
    assert np.isfinite(asked(model, whole, market, in_sample=True)[CUT:]).all()


def test_of_a_row_that_was_trained_on_nothing_is_doubted(model, whole, market):
    early = replace(model, train_end=int(market.time[CUT]))
    likely = regimes(len(market.time))
    x, trust = alpha.forecast((early,), whole, market.time, likely, HOUR, ShareByRegime())

    assert x.shape == trust.shape == whole.values.shape[:2]
    assert np.isnan(x[: CUT + 25]).all()
    assert (trust[: CUT + 25] == 1.0).all()


def test_nothing_of_a_trained_row_is_smoothed_into_a_later_one(model, whole, market):
    """Just after the training the opinion is that of a model that saw nothing before."""
    early = replace(model, train_end=int(market.time[CUT]))
    first = CUT + 25
    blank = whole.values.copy()
    blank[:first] = np.nan

    assert same_bits(asked(early, whole, market)[first:], asked(early, replace(whole, values=blank), market)[first:])


def test_x_is_unit_scale_within_the_row(model, whole, market):
    x = asked(model, whole, market, in_sample=True)[CUT:]

    assert np.abs(x).max() <= 3.0
    np.testing.assert_allclose(x.mean(axis=1), 0.0, atol=0.05)
    np.testing.assert_allclose(x.std(axis=1), 1.0, atol=0.1)


def test_an_asset_that_cannot_be_judged_has_no_opinion(model, whole, market):
    values = whole.values.copy()
    values[CUT:, 3, whole.names.index("vol")] = np.nan

    x = asked(model, replace(whole, values=values), market, in_sample=True)

    assert np.isnan(x[CUT:, 3]).all()
    assert np.isfinite(x[CUT:, :3]).all()


@pytest.mark.parametrize(("by", "left"), [(0.2, 1.0), (0.5, 2 / 3), (0.85, 0.2), (5.0, 0.0), (np.inf, 0.0)])
def test_m5_where_an_assets_features_drift_from_what_was_learned_its_alpha_shrinks_to_0(model, whole, market, by, left):
    """By how far, in widths of what was learned: a little changes nothing, far away nothing is left."""
    asset, feature = 3, whole.names.index("liq")
    low, high = model.forest.hull[feature]
    values = whole.values.copy()
    values[-1, asset, feature] = high + by * (high - low)
    drifted = replace(whole, values=values)
    raw = alpha.predict(model.forest, drifted)

    every, mixed = (
        alpha.forecast((model,), shown, market.time, regimes(len(market.time)), HOUR, ShareByRegime(), in_sample=True)
        for shown in (whole, drifted)
    )
    unshrunk = alpha.combine(raw, ShareByRegime().expected(regimes(len(market.time))), market.time, HOUR)

    assert same_bits(mixed.x[:-1], every.x[:-1])
    assert mixed.trust[-1, asset] == pytest.approx(left, abs=1e-12)
    assert mixed.x[-1, asset] == pytest.approx(left * unshrunk[-1, asset], abs=1e-12)
    assert unshrunk[-1, asset] != 0.0
    others = np.arange(len(market.assets)) != asset
    assert same_bits(mixed.x[-1, others], unshrunk[-1, others])
    said = alpha.doubts(mixed.trust, market.assets)
    assert said == ({len(market.time) - 1: f"shrunk on XRP to {left:.0%}: beyond what was learned"} if left < 1 else {})


def test_m5_what_the_model_learned_from_is_believed_in_full(model, whole, market):
    """Exactly 1: on rows like those that it saw the opinion is, to the bit, the unshrunk one."""
    found = alpha.forecast(
        (model,), whole, market.time, regimes(len(market.time)), HOUR, ShareByRegime(), in_sample=True
    )

    assert (found.trust == 1.0).all()
    assert alpha.doubts(found.trust, market.assets) == {}


def test_m5_a_drift_of_the_whole_market_shrinks_every_asset(model, whole, market):
    shared = whole.market.copy()
    shared[-1, whole.market_names.index("btc_r24")] = -3.0

    x = asked(model, replace(whole, market=shared), market, in_sample=True)

    assert (x[-1] == 0.0).all()


def test_a_doubt_is_told_with_the_opinion(model):
    found = alpha.opinion((model,), np.zeros(3), model.train_end, HOUR, doubt="shrunk on BTC to 0%", in_sample=True)

    assert found.health is Health.OK
    assert found.reason.endswith("; shrunk on BTC to 0%")


def test_smoothing_is_the_plain_weighted_mean():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((150, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    time = 1_735_689_600 + 7 * HOUR + HOUR * np.arange(150)

    found = alpha.smooth(x, time, HOUR)

    for t in range(150):
        for n in range(3):
            past = [(0.5 ** (k / 12), x[t - k, n]) for k in range(min(48, t + 1)) if np.isfinite(x[t - k, n])]
            if np.isnan(x[t, n]):
                assert np.isnan(found[t, n])
            else:
                assert found[t, n] == pytest.approx(sum(w * v for w, v in past) / sum(w for w, _ in past), abs=1e-12)


def test_the_mix_follows_the_regime():
    rng = np.random.default_rng(6)
    short, long = rng.standard_normal((2, 1, 8))
    time = np.array([1_735_689_600])

    assert same_bits(
        alpha.combine({6: short, 24: long}, np.array([1.0]), time, HOUR),
        alpha.combine({6: short}, np.array([0.0]), time, HOUR),
    )
    only = ShareByRegime(1.0, 0.5, 0.0).expected(np.array([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]]))
    assert only == pytest.approx([0.75])


def test_weight_runs_out_within_a_day_of_expiry(model):
    x, expires = np.zeros(3), model.expires
    later = replace(model, train_end=0, strength=0.01)

    def at(time):
        return alpha.opinion((later,), x, time, HOUR)

    assert at(expires).health is Health.OK
    assert at(expires).strength == 0.01
    assert at(expires).reason == ""
    half = at(expires + 12 * HOUR)
    assert half.health is Health.OK
    assert half.strength == pytest.approx(0.005)
    assert "50% of its weight is left" in half.reason
    for time in (expires + DAY, expires + 100 * DAY):
        assert at(time).health is Health.EXPIRED
        assert at(time).strength == 0.0
    assert model.digest[:12] in at(expires).version


def test_a_decision_that_was_trained_on_has_no_opinion(model):
    found = alpha.opinion((model,), np.zeros(3), model.train_end, HOUR)

    assert found.health is Health.MISSING
    assert "trained on what is shown here" in found.reason
    shown = alpha.opinion((model,), np.zeros(3), model.train_end, HOUR, in_sample=True)
    assert shown.health is Health.OK
    assert shown.reason.startswith("IN-SAMPLE")


def test_strength_is_what_the_evidence_allows(model, trained):
    said = trained.bundle.manifest["evidence"]["3600"]

    assert model.strength == strength(said["ic"], said["ic_t"])


def rewritten(trained, folder, **changes):
    """Write the bundle anew with other files or words, all digests made to fit."""
    bundle = trained.bundle
    said = {k: v for k, v in bundle.manifest.items() if k not in ("schema", "kind", "version", "files", "digest")}
    manifest = said | changes.pop("manifest", {})
    return artifacts.write(folder, "alpha", "v1", manifest, dict(bundle.files) | changes).path


def test_a_golden_output_is_replayed(trained, tmp_path):
    golden = orjson.loads(trained.bundle.files["golden.json"])
    golden["output"]["24"][5] += 1e-7

    with pytest.raises(ArtifactError, match="golden output for 24 h"):
        alpha.load(rewritten(trained, tmp_path, **{"golden.json": orjson.dumps(golden)}), HOUR)


def test_a_golden_output_is_replayed_to_the_last_bit(trained, tmp_path):
    golden = orjson.loads(trained.bundle.files["golden.json"])
    outputs = golden["output"]["24"]
    outputs[5] = np.nextafter(outputs[5], 1.0).item()

    with pytest.raises(ArtifactError, match="golden output for 24 h, bit for bit"):
        alpha.load(rewritten(trained, tmp_path, **{"golden.json": orjson.dumps(golden)}), HOUR)


def test_the_golden_output_is_that_of_lightgbm(trained):
    import lightgbm

    golden = orjson.loads(trained.bundle.files["golden.json"])
    inputs = np.array(golden["input"], dtype=np.float64)

    for h in (6, 24):
        booster = lightgbm.Booster(model_str=trained.bundle.files[f"model_{h}h.txt"].decode())
        assert booster.predict(inputs).tolist() == golden["output"][str(h)]


@pytest.mark.parametrize(
    "golden", [b"{}", b"no json", b'{"input": [], "output": {"6": [], "24": []}}', b'{"input": 3, "output": {}}']
)
def test_a_golden_file_that_is_none_is_refused(trained, tmp_path, golden):
    with pytest.raises(ArtifactError):
        alpha.load(rewritten(trained, tmp_path, **{"golden.json": golden}), HOUR)


def test_a_model_of_other_features_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(alpha.market_features, "digest", lambda: "0" * 64)

    with pytest.raises(ArtifactError, match="a formula has changed"):
        alpha.load(trained.bundle.path, HOUR)


def test_a_bar_without_evidence_is_refused(trained):
    with pytest.raises(ArtifactError, match=r"no evidence on 30m bars \(measured: 1h\)"):
        alpha.load(trained.bundle.path, 1800)


def test_a_damaged_text_is_refused(trained, tmp_path):
    text = trained.bundle.files["model_24h.txt"]

    with pytest.raises(ArtifactError, match="damaged"):
        alpha.load(rewritten(trained, tmp_path / "a", **{"model_24h.txt": b"tree"}), HOUR)
    with pytest.raises(ArtifactError, match="other features"):
        alpha.load(rewritten(trained, tmp_path / "b", **{"model_24h.txt": text.replace(b"rsi", b"rsj")}), HOUR)


def test_a_manifest_without_horizons_is_refused(trained, tmp_path):
    with pytest.raises(ArtifactError, match="no alpha bundle"):
        alpha.load(rewritten(trained, tmp_path, manifest={"horizons_h": None}), HOUR)


def test_nothing_heavy_is_loaded_before_a_model_is():
    import subprocess
    import sys

    code = "import sys, evenkeel.signals.alpha; sys.exit(bool({'lightgbm', 'scipy', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
