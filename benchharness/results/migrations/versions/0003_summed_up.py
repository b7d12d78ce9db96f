"""What a table asks of samples, beside them: their count, first, least, median and its median deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from benchharness.results.migrations.as_of_0002 import unpack

revision = "0003"
down_revision = "0002"

#: What was summed up then, beside the count.
_SUMMARIZED = ("first_sample", "least_sample", "middle_sample", "deviation")
#: So many rows are read at a time: samples may be large.
_AT_A_TIME = 500


def upgrade() -> None:
    """Adds the columns and fills them from the samples, in the transaction that the store opened."""
    with op.batch_alter_table("measurements") as table:
        table.add_column(sa.Column("samples_count", sa.Integer))
        for name in _SUMMARIZED:
            table.add_column(sa.Column(name, sa.Float))
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    names = ("samples_count", *_SUMMARIZED)
    rows = sa.table("measurements", *(sa.column(name) for name in ("attempt_id", "position", "samples", *names)))
    change = (
        sa.update(rows)
        .where(rows.c.attempt_id == sa.bindparam("of_attempt"), rows.c.position == sa.bindparam("of_position"))
        .values({name: sa.bindparam(name) for name in names})
    )
    last: tuple[str, int] = ("", -1)
    while True:
        after = sa.or_(rows.c.attempt_id > last[0], sa.and_(rows.c.attempt_id == last[0], rows.c.position > last[1]))
        columns = (rows.c.attempt_id, rows.c.position, rows.c.samples)
        query = sa.select(*columns).where(after).order_by(rows.c.attempt_id, rows.c.position).limit(_AT_A_TIME)
        page = connection.execute(query).all()
        if not page:
            return
        last = (page[-1][0], page[-1][1])
        found = [
            {"of_attempt": attempt, "of_position": position, **told}
            for attempt, position, blob in page
            if (told := _summary(blob))
        ]
        if found:
            connection.execute(change, found)


def _summary(blob: bytes) -> dict[str, Any]:
    try:
        samples = unpack(blob)
    except ValueError:  # damaged: without a summary it is unpacked, and whoever reads this attempt is told
        return {}
    if not len(samples):
        return {"samples_count": 0, **dict.fromkeys(_SUMMARIZED)}
    middle = float(np.median(samples))
    told = (float(samples[0]), float(np.min(samples)), middle, float(np.median(np.abs(samples - middle))))
    return {"samples_count": len(samples), **dict(zip(_SUMMARIZED, told, strict=True))}
