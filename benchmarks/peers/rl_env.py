"""Steps a second under DummyVecEnv(8), random actions drawn before: rl_env.py anytrading|trading_env|hand FOLDER SEED.

Eight environments, one for each asset of the folder, the whole of its prices an episode, so that no reset is measured
(by hand: windows, as evenkeel's). What a step of each does:

anytrading   StocksEnv as it comes, window of 22 (prices and differences: 44 numbers): all in or all out at the bar's
             own price, reward of closed trades, a fee in the profit only; no cash, lots, stops or least orders
trading_env  TradingEnv as it comes, the same 37 inputs and its own two: positions 0, 0.5, 1 of the portfolio at the
             bar's own price less 0.1 %, log reward, a history of everything; no lots, stops or least orders
hand         rl_slot.py: the step of evenkeel's slots to the last bit, in Python floats
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from rl_slot import Market, SlotEnv, check
from stable_baselines3.common.vec_env import DummyVecEnv

SECONDS = 3.0
COUNT = 8
WINDOW = 22


def anytrading(market):
    """What makes them."""
    from gym_anytrading.envs import StocksEnv  # noqa: PLC0415 - not beside the other one

    def made(i):
        frame = pd.DataFrame({"Close": market.price[i]})
        return lambda: StocksEnv(df=frame, window_size=WINDOW, frame_bound=(WINDOW, len(frame)))

    return [made(i) for i in range(COUNT)]


def trading_env(market):
    """What makes them."""
    from gym_trading_env.environments import TradingEnv  # noqa: PLC0415 - it turns every warning into an error

    def made(i):
        index = pd.to_datetime(market.time, unit="s")
        columns = {"open": market.opens[i], "high": market.high[i], "low": market.low[i], "close": market.price[i]}
        inputs = {f"feature_{k}": market.seen[i][:, k] for k in range(market.seen[i].shape[1])}
        frame = pd.DataFrame({**columns, "volume": market.volume[i], **inputs}, index=index)
        return lambda: TradingEnv(df=frame, positions=[0, 0.5, 1], trading_fees=0.001, verbose=0)

    return [made(i) for i in range(COUNT)]


def hand(market):
    """What makes them."""
    return [lambda: SlotEnv(market) for _ in range(COUNT)]


def main():
    """Print one JSON line."""
    name, folder = sys.argv[1:3]
    rng = np.random.default_rng(int(sys.argv[3]))
    market = Market(folder)
    books = DummyVecEnv({"anytrading": anytrading, "trading_env": trading_env, "hand": hand}[name](market))
    books.seed(1)
    if name == "hand":
        actions = rng.uniform(-1.0, 1.0, (2_000, COUNT, 1)).astype(np.float32)
    else:
        actions = rng.integers(0, books.action_space.n, (2_000, COUNT))
    books.reset()
    for action in actions[:500]:
        books.step(action)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        books.step(actions[steps % len(actions)])
        steps += 1
    rate = steps * COUNT / (time.perf_counter() - began)
    print(json.dumps({"rate": rate, **(check(market) if name == "hand" else {})}))


if __name__ == "__main__":
    main()
