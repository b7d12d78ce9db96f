"""Of each finished run what history asks of it, in one row: a year of nights has too many values to read one by one.

The rows are made afterwards, a run at a time, by whoever opened the store (`opening`): a year of them takes seconds, in
which nobody else could save an attempt. Until a run has its row, its attempts are read.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the table, in the transaction that the store opened."""
    op.create_table(
        "packed_nights",
        sa.Column("run_id", sa.String(36), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("form", sa.Integer, nullable=False),
        sa.Column("jobs", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("figures", sa.LargeBinary, nullable=False),
    )
