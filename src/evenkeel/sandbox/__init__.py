"""Does evenkeel speak an exchange's language? Loopback servers that do, over one market, one clock and one fault plan.

Nothing here is imported by what trades. `market` gives prices, `clock` the time, `faults` what goes wrong; `exchange`
is a venue's matching and wallet as functions of the time; `roostoo` puts it on the wire and `app` serves it.
"""
