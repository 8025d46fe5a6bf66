"""Everything that can stop evenkeel, as a small tree.

A message says what, which value, which limit and what to do; the exit code is part of the interface
(docs/reference/exit-codes.md). No error here is ever shown with a traceback.
"""

from __future__ import annotations


class EvenkeelError(Exception):
    """A failure that a person can act on; `exit_code` is what the process returns."""

    exit_code = 1


class UsageError(EvenkeelError):
    """The command line or an input file is wrong (exit 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration is wrong: unknown key, value out of range, malformed YAML (exit 2)."""


class DataError(UsageError):
    """Input data cannot be used as it is: missing column, text in a price, a gap (exit 2)."""


class NotReadyError(EvenkeelError):
    """A part that is needed is not there yet: no archive, empty universe, no state (exit 3)."""

    exit_code = 3


class StateError(EvenkeelError):
    """The remembered state is refused: newer schema, another identity, unwritable (exit 3)."""

    exit_code = 3


class ArtifactError(EvenkeelError):
    """A fitted artifact is refused: damaged, from other features, for another bar, of a newer schema (exit 3)."""

    exit_code = 3


class NoEvidenceError(ArtifactError):
    """A sound artifact that was never judged on the bar it would have to serve."""


class EvidenceError(EvenkeelError):
    """A check of evidence failed: parity, honesty (exit 4)."""

    exit_code = 4


class LockedError(EvenkeelError):
    """Another instance holds this home (exit 75)."""

    exit_code = 75


class VenueError(EvenkeelError):
    """A venue refused a request in words we understand; nothing was placed."""


class AccessRefusedError(VenueError):
    """The venue does not let this key or this place in (HTTP 401, 403, 451): asking again would not help."""


class VenueUnknownError(EvenkeelError):
    """A venue's answer was lost or could not be understood: what happened is UNKNOWN."""


class FeedError(EvenkeelError):
    """Market data could not be had; the slot fails closed, the loop goes on."""


class StoppedError(EvenkeelError):
    """The program was asked to stop while it waited; the slot at work is not ended and runs at the next start."""
