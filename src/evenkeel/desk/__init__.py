"""The Kalshi desk: what it holds and remembers, what it decides, and one turn after another."""
