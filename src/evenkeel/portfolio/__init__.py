"""What to hold and which orders lead there: allocation, risk overlay, orders, costs, accounts."""
