"""What a store can be asked without reading every job and sample: columns of jobs, percentiles of measurements."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from benchharness.results.migrations.as_of_0002 import job_columns, percentiles_of, unpack

revision = "0002"
down_revision = "0001"

#: So many rows are read at a time: samples may be large.
_AT_A_TIME = 500


def upgrade() -> None:
    """Adds the columns, fills them from what is stored, in the transaction that the store opened."""
    with op.batch_alter_table("jobs") as table:
        for name, length in (("cell", 32), ("model", 200), ("variant", 200), ("configuration", 200)):
            table.add_column(sa.Column(name, sa.String(length), nullable=False, server_default=""))
        for name, length in (("scenario", 60), ("digest", 64), ("hardware", 200)):
            table.add_column(sa.Column(name, sa.String(length), nullable=False, server_default=""))
        table.create_index("ix_jobs_cell", ["cell"])
    with op.batch_alter_table("measurements") as table:
        table.add_column(sa.Column("percentiles", sa.JSON, nullable=False, server_default="{}"))
    op.create_index("ix_attempts_of_job", "attempts", ["run_id", "job_key"])
    connection = op.get_bind()
    _fill_jobs(connection)
    _fill_measurements(connection)


def _fill_jobs(connection: sa.Connection) -> None:
    jobs = sa.table("jobs", *(sa.column(name) for name in ("run_id", "key", "job_json", *_OF_JOBS)))
    change = (
        sa.update(jobs)
        .where(jobs.c.run_id == sa.bindparam("of_run"), jobs.c.key == sa.bindparam("of_key"))
        .values({name: sa.bindparam(name) for name in _OF_JOBS})
    )
    for run, key, text in connection.execute(sa.select(jobs.c.run_id, jobs.c.key, jobs.c.job_json)).all():
        connection.execute(change, {"of_run": run, "of_key": key, **job_columns(json.loads(text))})


def _fill_measurements(connection: sa.Connection) -> None:
    names = ("attempt_id", "position", "metric", "samples", "percentiles")
    rows = sa.table("measurements", *(sa.column(name) for name in names[:-1]), sa.column("percentiles", sa.JSON))
    change = (
        sa.update(rows)
        .where(rows.c.attempt_id == sa.bindparam("of_attempt"), rows.c.position == sa.bindparam("of_position"))
        .values(percentiles=sa.bindparam("found"))
    )
    columns = [rows.c[name] for name in names[:-1]]
    last: tuple[str, int] = ("", -1)
    while True:
        after = sa.or_(rows.c.attempt_id > last[0], sa.and_(rows.c.attempt_id == last[0], rows.c.position > last[1]))
        query = sa.select(*columns).where(after).order_by(rows.c.attempt_id, rows.c.position).limit(_AT_A_TIME)
        page = connection.execute(query).all()
        if not page:
            return
        last = (page[-1][0], page[-1][1])
        found = [
            {"of_attempt": attempt, "of_position": position, "found": told}
            for attempt, position, metric, blob in page
            if (told := _percentiles(metric, blob))
        ]
        if found:
            connection.execute(change, found)


def _percentiles(metric: str, blob: bytes) -> dict[str, float]:
    try:
        return percentiles_of(metric, unpack(blob))
    except ValueError:  # damaged: whoever reads this attempt is told
        return {}


_OF_JOBS = ("cell", "model", "variant", "configuration", "scenario", "digest", "hardware")
