"""The plain rule in bt: plain_bt.py FOLDER."""

import json
import sys

import bt
from weights import frame, targets

close = frame(sys.argv[1])
strategy = bt.Strategy("plain", [bt.algos.WeighTarget(targets(close)), bt.algos.Rebalance()])
test = bt.Backtest(
    strategy,
    close,
    initial_capital=1e6,
    commissions=lambda quantity, price: abs(quantity) * price * 0.001,
    integer_positions=False,
    progress_bar=False,
)
test.run()
print(json.dumps({"final": float(test.strategy.values.iloc[-1])}))
