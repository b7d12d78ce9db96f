"""A farm of devices: one server with queue and store, an agent on each host, a worker for each device.

Words, beside those of the whole package:

- *member*: whoever the server knows by a certificate, whose name is its role: an agent's host, or somebody who submits.
- *pass*: the folder with which a member reaches the farm: where it is, the certificate, the keys (`passes`).
- *submission*: a suite with the digests of its files, and where it is to run, signed by who wrote it (`submission`).
- *job*: one submission on one device: what the queue holds. Its result is a run of the store.
- *lease*: a job on a device, for a time (`lease`, `sql/lease.sql`). Its *token* is new each time.
- *fence*: what lets in only who holds the lease (`sql/fence.sql`).
- *reaper*: hands on a job whose lease lapsed, and not before its device has given up (`reaper`).
- *parcel*: a run as JSON, on its way to the store (`results.parcels`).

The queue is Procrastinate's. Start with `sql/tables.sql` and `agent`.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchharness.errors import UsageError

#: What the extra `farm` installs, by what is imported.
_NEEDED = ("cryptography", "procrastinate", "psycopg")


def check_installed() -> None:
    """Raises `UsageError` where the extra is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"a farm needs {', '.join(missing)}: pip install 'benchharness[farm]'")
