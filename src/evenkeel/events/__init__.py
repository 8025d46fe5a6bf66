"""Event contracts: what is quoted, what it is worth, how much of it to hold. Pure: boards in, proposals out."""
