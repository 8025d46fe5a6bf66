"""Microseconds of model.predict(deterministic=True) for 88 rows: rl_predict.py FOLDER SEED.

continuous  stable-baselines3's PPO with one number · discrete  sb3-contrib's MaskablePPO with three moves and masks
"""

import json
import sys
import time

import numpy as np
import torch
from rl_slot import Market, SlotEnv
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv


def main():
    """Print one JSON line."""
    torch.set_num_threads(1)
    market, rng = Market(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
    found = {}
    for name, kind, discrete in (("continuous", PPO, False), ("discrete", MaskablePPO, True)):
        env = SlotEnv(market, discrete=discrete)
        model = kind("MlpPolicy", DummyVecEnv([lambda env=env: env]), device="cpu", seed=1)
        seen = rng.uniform(-2.0, 2.0, (88, *env.observation_space.shape)).astype(np.float32)
        masks = {"action_masks": np.ones((88, 3), dtype=bool)} if discrete else {}
        taken = []
        for _ in range(5_000):
            began = time.perf_counter_ns()
            model.predict(seen, deterministic=True, **masks)
            taken.append(time.perf_counter_ns() - began)
        found[name] = float(np.median(taken)) / 1e3
    print(json.dumps(found))


if __name__ == "__main__":
    main()
