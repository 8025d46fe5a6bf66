"""stable-baselines3's PPO on the hand-written environment under DummyVecEnv(8): rl_sb3.py ppo|score FOLDER SEED ...

ppo    steps a second of the second round, at the hyperparameters of evenkeel's run: rounds of 61,440 steps, minibatches
       of 2,048, 10 epochs, the same rates, 64 x 64
score  its defaults (2,048 steps an environment, minibatches of 64, 10 epochs, rate 3e-4) until the score is reached;
       what follows is the score and the words that start evenkeel's judge, which is given the actor every 4,096 steps
       and whose time is said
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rl_slot import Market, SlotEnv
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

COUNT = 8
EVERY = 4_096
MOST = 500_000
LIKE_OURS = {
    "n_steps": 7_680, "batch_size": 2_048, "n_epochs": 10, "learning_rate": 1e-3, "gamma": 0.97, "gae_lambda": 0.95,
    "clip_range": 0.2, "ent_coef": 0.0, "policy_kwargs": {"net_arch": [64, 64]},
}  # fmt: skip


def environments(folder):
    """Eight books by hand."""
    market = Market(folder)
    return DummyVecEnv([lambda: SlotEnv(market) for _ in range(COUNT)])


def ppo(folder, seed):
    """Steps a second."""
    model = PPO("MlpPolicy", environments(folder), device="cpu", seed=seed, **LIKE_OURS)
    steps = LIKE_OURS["n_steps"] * COUNT
    model.learn(steps)
    began = time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    return {"rate": steps / (time.perf_counter() - began)}


class Judged(BaseCallback):
    """Stops where the score is reached."""

    def __init__(self, score, command):
        super().__init__()
        self.score, self.command, self.judge = score, command, None
        self.began, self.seconds, self.clock, self.scores = time.perf_counter(), 0.0, [], []
        self.folder = TemporaryDirectory()

    def _on_step(self):
        if self.num_timesteps % EVERY:
            return True
        began = time.perf_counter()
        self.clock.append(began - self.began - self.seconds)
        if self.judge is None:
            self.judge = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        network = self.model.policy
        layers = [x for x in network.mlp_extractor.policy_net if isinstance(x, torch.nn.Linear)] + [network.action_net]
        path = Path(self.folder.name) / "actor.npz"
        saved = {f"weight{i}": x.weight.detach().numpy() for i, x in enumerate(layers)}
        np.savez(path, **saved, **{f"bias{i}": x.bias.detach().numpy() for i, x in enumerate(layers)})
        self.judge.stdin.write(f"{path}\n")
        self.judge.stdin.flush()
        self.scores.append(json.loads(self.judge.stdout.readline()))
        self.seconds += time.perf_counter() - began
        return self.scores[-1] < self.score

    def close(self):
        """Let the judge go."""
        began = time.perf_counter()
        self.judge.stdin.close()
        self.judge.wait()
        self.folder.cleanup()
        self.seconds += time.perf_counter() - began


def score(folder, seed, wanted, *command):
    """Seconds so far and the score, every 4,096 steps."""
    model = PPO("MlpPolicy", environments(folder), device="cpu", seed=seed)
    judged = Judged(float(wanted), command)
    model.learn(MOST, callback=judged)
    judged.close()
    return {
        "judged_s": judged.seconds, "steps": model.num_timesteps, "clock": judged.clock, "scores": judged.scores,
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, where, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps({"ppo": ppo, "score": score}[what](where, number, *sys.argv[4:])))
