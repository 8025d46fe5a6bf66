"""All that touches a network, and the paper venue, which behaves as if it did."""
