"""What the market did: panels of bars, features, verdicts on prices, and the embedded market. Pure."""
