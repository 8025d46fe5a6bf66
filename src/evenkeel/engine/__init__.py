"""Ports to the world, the slot ledger, the order protocol, and one slot as pure changes of memory."""
