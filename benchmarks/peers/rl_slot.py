"""One book of one asset by hand: gymnasium and Python floats, no array but the observation. As evenkeel's slots trade.

What a careful person writes: all columns are lists that were looked up once, what does not depend on the book is
computed before the first step.
"""

import json
import math
from pathlib import Path

import gymnasium as gym
import numpy as np

DAY_S = 86_400
NAN = float("nan")


class Market:
    """The files of a folder, a list for each asset and column."""

    def __init__(self, folder):
        folder = Path(folder)
        arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
        self.rules = rules = json.loads((folder / "rules.json").read_text())
        for name in ("price", "low", "high", "opens", "volume", "liquidity", "day_vol", "atr", "ready", "frozen"):
            setattr(self, name, [column.tolist() for column in arrays[name].T])
        self.time, self.trading = arrays["time"].tolist(), arrays["trading"].tolist()
        self.seen = [np.ascontiguousarray(arrays["market"][:, i]) for i in range(arrays["market"].shape[1])]
        self.windows = {name: arrays[name].tolist() for name in ("taught", "judged")}
        price, day_vol = arrays["price"], arrays["day_vol"]
        share = rules["cap"] * np.clip(rules["vol_target"] / (day_vol * math.sqrt(365.25)), 0.0, 1.0)
        gain = np.full_like(price, np.nan)
        gain[:-1] = np.log1p(share[:-1] * (price[1:] / price[:-1] - 1.0))
        self.matched = [column.tolist() for column in np.where(np.isfinite(gain), gain, 0.0).T]


class SlotEnv(gym.Env):
    """Buy or sell by a number in [-1, 1] or by BUY, SELL, HOLD; a window is an episode."""

    def __init__(self, market, *, discrete=False):
        self.market, self.rules = market, market.rules
        self.discrete = discrete
        width = market.seen[0].shape[1] + 6
        self.observation_space = gym.spaces.Box(-5.0, 5.0, (width,), np.float32)
        self.action_space = gym.spaces.Discrete(3) if discrete else gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, seed=None, options=None):
        """A window and a budget at random."""
        del options
        super().reset(seed=seed)
        windows, budgets = self.market.windows["taught"], self.rules["budgets"]
        row, asset = windows[self.np_random.integers(len(windows))]
        return self.place(row, asset, budgets[self.np_random.integers(len(budgets))]), {}

    def place(self, row, asset, budget):
        """Begin a window with all cash."""
        m, rules = self.market, self.rules
        self.row, self.end, self.asset = row, row + rules["bars"], asset
        self.price, self.low, self.high, self.opens = m.price[asset], m.low[asset], m.high[asset], m.opens[asset]
        self.volume, self.liquidity = m.volume[asset], m.liquidity[asset]
        self.day_vol, self.atr = m.day_vol[asset], m.atr[asset]
        self.ready, self.frozen, self.matched = m.ready[asset], m.frozen[asset], m.matched[asset]
        self.seen = m.seen[asset]
        self.lot, self.tick = rules["lot_scale"][asset], rules["price_scale"][asset]
        self.least = rules["min_notional"][asset]
        self.spread, self.impact = rules["half_spread"][asset], rules["impact"][asset]
        self.cash = self.peak = self.worth = float(budget)
        self.units, self.basis, self.top, self.stop = 0.0, NAN, NAN, NAN
        self.opened = self.cooling = 0
        return self.observe()

    def observe(self):
        """Inputs of the market, and six numbers of the book."""
        row, units = self.row, self.units
        price, now = self.price[row], self.market.time[row]
        worth = self.cash + units * price
        out = np.empty(self.observation_space.shape, np.float32)
        out[:-6] = self.seen[row]
        share = min(max(units * price / worth / self.rules["cap"], 0.0), 1.0)
        gain = age = 0.0
        if units > 0:
            gain = math.log(price / self.basis) / self.day_vol[row]
            gain = min(max(gain, -5.0), 5.0) if math.isfinite(gain) else 0.0
            age = min(math.log2(1.0 + (now - self.opened) / DAY_S), 5.0)
        size = min(max(math.log10(max(worth * self.rules["cap"], 1.0)) - 4.0, -2.0), 3.0)
        out[-6:] = (share, 1.0 - share, gain, age, self.cooling > now, size)
        return out

    def step(self, action):
        """Trade, go one bar on, check stops."""
        move = (1.0, -1.0, 0.0)[action] if self.discrete else min(max(float(action[0]), -1.0), 1.0)
        rules, before = self.rules, self.worth
        matched = self.matched[self.row]
        self.trade(move)
        self.row += 1
        self.watch()
        worth = self.worth = self.cash + self.units * self.price[self.row]
        fall = 1.0 - before / self.peak
        self.peak = max(self.peak, worth)
        deeper = max(0.0, 1.0 - worth / self.peak - fall)
        reward = 100.0 * (math.log(worth / before) - matched - rules["drawdown"] * deeper)
        return self.observe(), reward, False, self.row >= self.end, {}

    def trade(self, move):
        """An order that fills at the next open, if it is one."""
        row, rules, units = self.row, self.rules, self.units
        price, now = self.price[row], self.market.time[row]
        worth = self.cash + units * price
        held = units * price / worth
        goal = self.goal(move, worth, held)
        if goal == held:
            return
        wished = -units if goal == 0.0 else (goal - held) * worth / price
        order = max(self.lots(wished), -self.lots(units))
        notional = abs(order) * price
        leaves = goal == 0.0 and now % rules["rebalance_s"] == 0
        if not notional > self.least or not (notional >= rules["min_order_usd"] or leaves):
            return
        if order > 0:
            need = notional * (1.0 + 2.0 * (rules["fee"] + self.slippage(notional, self.liquidity[row])))
            if not self.cash - rules["cash_reserve"] * worth >= need:
                return
        self.fill(order, self.opens[row], rules["atr_multiple"] * self.atr[row] * price if rules["exits"] else NAN)

    def goal(self, move, worth, held):
        """Weight wanted of the whole book."""
        row, rules = self.row, self.rules
        cooling = self.cooling > self.market.time[row]
        if self.frozen[row] or not self.market.trading[row]:
            return held
        if held > 0 and not cooling and not math.isfinite(self.day_vol[row]):
            return held
        goal = held
        if abs(move) >= 0.1:
            goal = min(min(max(held / rules["cap"] + move, 0.0), 1.0) * rules["cap"], rules["cap"])
        if cooling or not (self.ready[row] or held > 0):
            goal = 0.0
        deep = self.liquidity[row]
        return min(goal, rules["participation"] * deep / worth if math.isfinite(deep) else held)

    def watch(self):
        """Stops of the bar that has closed, then a higher mark."""
        if self.units <= 0:
            return
        row, rules = self.row, self.rules
        low, high = self.low[row], self.high[row]
        level = NAN
        if rules["exits"]:
            levels = (self.stop, self.top * (1.0 - rules["trailing"]), self.basis * (1.0 - rules["max_loss"]))
            reached = [one for one in levels if low <= one]
            level = max(reached) if reached else NAN
        if math.isfinite(high) and not high <= self.top:
            self.top = high
        order = -self.lots(self.units)
        if math.isfinite(level) and not self.frozen[row] and -order * self.price[row] > self.least:
            self.cooling = self.market.time[row] + rules["cooldown_s"]
            self.fill(order, min(self.opens[row], level), NAN)

    def fill(self, order, start, stop_distance):
        """What the venue makes of a market order."""
        if order == 0 or not math.isfinite(start):
            return
        slip = self.slippage(abs(order) * start, self.volume[self.row])
        buys = order > 0
        worse = start * (1.0 + slip) if buys else start * (1.0 - slip)
        ticks = round(worse * self.tick)
        if buys and ticks / self.tick < worse:
            ticks += 1
        elif not buys and ticks / self.tick > worse:
            ticks -= 1
        paid = ticks / self.tick
        notional = abs(order) * paid
        owed = notional * self.rules["fee"]
        cents = round(owed * 1e8)
        fee = (cents + (cents / 1e8 < owed)) / 1e8
        cash = self.cash - order * paid - fee
        if not notional > self.least or cash < 0:
            return
        if buys:
            had = self.units if math.isfinite(self.basis) else 0.0
            self.basis = (order * paid + fee + (had * self.basis if had > 0 else 0.0)) / (order + had)
            if order > self.units:
                self.top, self.stop, self.opened = paid, paid - stop_distance, self.market.time[self.row]
        self.units = round((self.units + order) * self.lot) / self.lot
        self.cash = cash
        if self.units <= 0:
            self.basis = self.top = self.stop = NAN

    def lots(self, units):
        """Rounded toward zero."""
        size = abs(units)
        whole = round(size * self.lot)
        if whole / self.lot > size:
            whole -= 1
        return math.copysign(whole / self.lot, units)

    def slippage(self, notional, volume):
        """Half the spread and impact."""
        return self.spread + self.impact * math.sqrt(notional / volume if 0 < volume < math.inf else 0.01)


def check(market):
    """What fixed actions make of the first judged window: every implementation must come to the same."""
    env = SlotEnv(market)
    row, asset = market.windows["judged"][0]
    env.place(row, asset, 10_000.0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, market.rules["bars"])
    rewards = [env.step([action])[1] for action in actions]
    return {"worth": env.worth, "reward": sum(rewards)}
