"""stable-baselines3's PPO on the hand-written environment under DummyVecEnv(8): rl_sb3.py ppo|score FOLDER SEED ...

ppo    steps a second of the second round, at the hyperparameters of evenkeel's run: rounds of 61,440 steps, minibatches
       of 2,048, 10 epochs, the same rates, 64 x 64
score  its defaults (2,048 steps an environment, minibatches of 64, 10 epochs, rate 3e-4) until the score is reached;
       what follows is the score and the words that start evenkeel's judge, which is given the actor every 4,096 steps
       and whose time is said
"""

import json
import sys
import time

import torch
from rl_judge import Judge
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

    def __init__(self, score, judge):
        super().__init__()
        self.score, self.judge = score, judge
        self.began, self.clock, self.scores = time.perf_counter(), [], []

    def _on_step(self):
        if self.num_timesteps % EVERY:
            return True
        self.clock.append(time.perf_counter() - self.began - self.judge.seconds)
        network = self.model.policy
        layers = [x for x in network.mlp_extractor.policy_net if isinstance(x, torch.nn.Linear)] + [network.action_net]
        self.scores.append(self.judge([(x.weight.detach().numpy(), x.bias.detach().numpy()) for x in layers]))
        return self.scores[-1] < self.score


def score(folder, seed, wanted, *command):
    """Seconds so far and the score, every 4,096 steps."""
    model = PPO("MlpPolicy", environments(folder), device="cpu", seed=seed)
    judge = Judge(command)
    judged = Judged(float(wanted), judge)
    model.learn(MOST, callback=judged)
    judge.close()
    return {
        "judged_s": judge.seconds, "steps": model.num_timesteps, "clock": judged.clock, "scores": judged.scores,
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, where, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps({"ppo": ppo, "score": score}[what](where, number, *sys.argv[4:])))
