"""How long samples are kept, and where runs come from: samples can be pruned, and runs imported.

The mean of samples stays unknown where it was not kept when they were stored: it is asked of them then, and kept when
they are pruned.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the columns, in the transaction that the store opened. They say nothing of what is stored already."""
    with op.batch_alter_table("runs") as table:
        table.add_column(sa.Column("pruned", sa.DateTime(timezone=True)))
        table.add_column(sa.Column("imported", sa.DateTime(timezone=True)))
        table.add_column(sa.Column("origin", sa.String(200), nullable=False, server_default=""))
    with op.batch_alter_table("measurements") as table:
        table.add_column(sa.Column("mean_sample", sa.Float))
