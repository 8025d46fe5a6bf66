"""Kalshi offline: settled contracts in, what models of them are worth out."""
