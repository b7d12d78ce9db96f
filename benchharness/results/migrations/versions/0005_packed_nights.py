"""Of each finished run what history asks of it, in one row: a year of nights has too many values to read one by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from benchharness.results.packed_nights import keep

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the table and packs what is there, in the transaction that the store opened."""
    op.create_table(
        "packed_nights",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("form", sa.Integer, nullable=False),
        sa.Column("jobs", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("figures", sa.LargeBinary, nullable=False),
    )
    connection = op.get_bind()
    for run in connection.execute(sa.text("SELECT id FROM runs WHERE state = 'finished'")).scalars().all():
        keep(connection, run)
