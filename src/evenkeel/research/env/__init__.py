"""The policy's school: many one-asset books at once, stepped by the kernels that trade.

tape    the market, as arrays · slots  the books and their step · vec  the batch for stable-baselines3 ·
single  one book, for the checkers of gymnasium
"""
