"""What is remembered: `state/state.json` and the small files beside it.

One writer holds the `Lock`, loads the `Store` and changes memory by `commit`; everyone else reads with `peek` and asks
with `send`. Imports nothing heavy, so that `evenkeel status` answers at once.
"""

from evenkeel.store.codec import dumps, from_json, to_json
from evenkeel.store.commands import (
    COMMANDS,
    Command,
    Taken,
    beat,
    clear_halt,
    finish,
    halt_reason,
    halted,
    pending,
    read_heartbeat,
    send,
    set_halt,
    take,
)
from evenkeel.store.disk import Disk, FaultyDisk, RealDisk
from evenkeel.store.document import MIGRATIONS, SCHEMA, DamagedError, state_sha256
from evenkeel.store.lock import Lock, holder
from evenkeel.store.shelf import GENERATIONS, archive_run
from evenkeel.store.state import VIRTUAL, Fate, FileHealth, Loaded, Store, examine, fate, peek

__all__ = [
    "COMMANDS", "GENERATIONS", "MIGRATIONS", "SCHEMA", "VIRTUAL",
    "Command", "DamagedError", "Disk", "Fate", "FaultyDisk", "FileHealth", "Loaded", "Lock", "RealDisk", "Store",
    "Taken",
    "archive_run", "beat", "clear_halt", "dumps", "examine", "fate", "finish", "from_json", "halt_reason", "halted",
    "holder", "peek", "pending", "read_heartbeat", "send", "set_halt", "state_sha256", "take", "to_json",
]  # fmt: skip
