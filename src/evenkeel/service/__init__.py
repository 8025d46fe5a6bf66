"""The unattended loop: wakes decide nothing, the slot ledger does.

Every slot goes through store, intents and journal.
"""
