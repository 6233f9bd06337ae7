"""The few statements that SQLite and PostgreSQL spell alike but SQLAlchemy keeps apart, and
how much fits into one.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert_ignore(conn: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT that leaves a row with the same key as it is."""
    if conn.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


_BATCH = 500  # SQLite allows 32,766 bound values in one statement, PostgreSQL 32,767


def batches(keys: Iterable[str]) -> Iterable[list[str]]:
    """Keys, each once, in lists short enough to be bound in one statement."""
    unique = list(dict.fromkeys(keys))
    return (unique[start : start + _BATCH] for start in range(0, len(unique), _BATCH))
