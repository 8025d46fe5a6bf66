"""The plain rule in vectorbt: plain_vectorbt.py FOLDER."""

import json
import sys

import vectorbt as vbt
from weights import frame, targets

close = frame(sys.argv[1])
portfolio = vbt.Portfolio.from_orders(
    close,
    size=targets(close).reindex(close.index),
    size_type="targetpercent",
    group_by=True,
    cash_sharing=True,
    call_seq="auto",
    fees=0.001,
    init_cash=1e6,
    freq="30min",
)
value = portfolio.value()
print(json.dumps({"final": float(value.iloc[-1]), "orders": int(portfolio.orders.count())}))
