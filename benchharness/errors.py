"""Every error benchharness raises on purpose, one exit code each.

::

    BenchharnessError
    ├── UsageError            2  an option, file or name given on the command line is wrong
    │   ├── SuiteError        2  a suite or hardware target file is wrong
    │   ├── RunNotFound       2  no run, or more than one, has that name
    │   └── StoreError        2  the store cannot be opened, read or written
    ├── NothingRan            4  not one job gave a result
    ├── LaunchError           4  a device cannot be reached, or its supervisor does not answer
    │   ├── DeviceBusy        4  another host has the device
    │   ├── ConnectionLost    4  the line to a supervisor broke; what it had finished is in its spool
    │   └── ProtocolError     4  the other side sent what the protocol does not allow
    └── AttemptError          3  raised inside a worker; becomes the outcome of the attempt
        ├── Unsupported       3  this runtime, model or workload cannot be measured like that
        ├── ModelFailure      3  the runtime refused or failed on the model
        └── InvalidOutput     3  the model answered with something that cannot be an answer

Everything here is importable under Python 3.9 without third-party packages: the device side uses it.
"""

from __future__ import annotations

DONE, GATE_FAILED, USAGE, SOME_FAILED, NOTHING_RAN, UNDECIDED, INTERRUPTED, READER_LEFT = 0, 1, 2, 3, 4, 5, 130, 141


class BenchharnessError(Exception):
    """What was wrong, where, and what to do next, in words for the user."""

    exit_code = USAGE


class UsageError(BenchharnessError):
    """An option, file or name given by the user is wrong."""


class SuiteError(UsageError):
    """A suite or hardware target file does not say what it must."""


class RunNotFound(UsageError):
    """No run, or more than one, goes by the name given."""


class StoreError(UsageError):
    """The store cannot be opened, read or written."""


class Interrupted(KeyboardInterrupt):
    """Somebody ended a run while it was made; `run` is its id. What is kept of it can be gone on with."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} was interrupted")
        self.run = run


class NothingRan(BenchharnessError):
    """Not one job gave a result."""

    exit_code = NOTHING_RAN


class LaunchError(BenchharnessError):
    """A device cannot be reached, or its supervisor does not answer."""

    exit_code = NOTHING_RAN


class NoPython(LaunchError):
    """A device answers, and has no Python that can be started, or none that is new enough."""


class DeviceBusy(LaunchError):
    """Another host has the device."""


class ConnectionLost(LaunchError):
    """The line to a supervisor broke; finished attempts wait in its spool."""


class ProtocolError(LaunchError):
    """The other side sent something that the protocol does not allow."""


class AttemptError(BenchharnessError):
    """Ends one attempt; the worker turns it into that attempt's outcome."""

    exit_code = SOME_FAILED
    #: What else was written on standard error meanwhile: for people, nothing is concluded from it.
    written = ""


class Unsupported(AttemptError):
    """This runtime, model or workload cannot be measured in this way."""


class ModelFailure(AttemptError):
    """The runtime refused the model, or failed while running it."""


class SeveralModels(ModelFailure):
    """A folder holds several models, and it is not clear which one is meant."""


class InvalidOutput(AttemptError):
    """The model's answer cannot be an answer: NaN, all zeros, a wrong shape."""
