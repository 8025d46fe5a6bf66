"""evenkeel: an unattended, scheduled, multi-asset crypto portfolio rebalancer."""

__version__ = "0.1.0"
