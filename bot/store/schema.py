"""Tables, indexes, append-only triggers, and the numbered migrations that make them.

One set of statements for SQLite and PostgreSQL. All times are seconds since the epoch by the
*database's* clock (`db_now()`), because several processes must agree on whose lease is over.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from bot.store import contents

metadata = sa.MetaData()
_TIME = sa.Double
_JSON = sa.JSON


class db_now(GenericFunction[float]):  # noqa: N801 - reads like the SQL function it is
    """The database's clock as seconds since the epoch."""

    type = sa.Double()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    # unixepoch('subsec') came with SQLite 3.42; Debian 12 has 3.40.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgres_now(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def _text(name: str, **kw: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="", **kw)


def _time(name: str, *, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, _TIME, nullable=nullable)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    _text("value"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _text("kind"),
    _text("registry"),
    sa.Column("exclusive", sa.Boolean, nullable=False),
    sa.Column("request_id", sa.Integer, nullable=True),
    sa.Column("payload", _JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    _time("run_at", nullable=False),
    _text("worker"),
    sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
    _time("lease_until"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("dedupe", sa.Text, nullable=True, unique=True),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("finished_at"),
    _text("outcome"),
    sa.Index("jobs_due", "state", "run_at"),
    # The per-registry lock: whoever has the bug, the database refuses a second run.
    sa.Index(
        "jobs_one_exclusive",
        "registry",
        unique=True,
        sqlite_where=sa.text("exclusive = 1 AND state = 'running'"),
        postgresql_where=sa.text("exclusive AND state = 'running'"),
    ),
    sqlite_autoincrement=True,
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.Text, nullable=False, unique=True),
    _text("registry"),
    _text("action"),
    _text("state"),
    _text("requester"),
    _text("team"),
    _text("channel"),
    _text("message_ts"),
    _text("reason"),
    sa.Column("plan", _JSON, nullable=False),
    _text("rule"),
    _text("rule_fingerprint"),
    _text("approval"),
    sa.Column("approvals_needed", sa.Integer, nullable=False),
    sa.Column("approvers", _JSON, nullable=False),
    sa.Column("allow_self_approval", sa.Boolean, nullable=False),
    _time("execute_within", nullable=False),
    _time("undo_window", nullable=False),
    _time("created_at", nullable=False),
    _time("expires_at", nullable=False),
    _time("decided_at"),
    _time("finished_at"),
    _time("undo_until"),
    _time("edited_at"),
    sa.Column("subject", sa.Integer, nullable=True),
    _text("abort_by"),
    sa.Column("progress", _JSON, nullable=False),
    sa.Column("result", _JSON, nullable=False),
    # Each step with its groups, the approvals it needs, and who could give them at that time.
    sa.Column("steps", _JSON, nullable=False, server_default="[]"),
    # Break-glass: the requester decided alone, and others were told.
    sa.Column("emergency", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of what is pinned: every line of the audit trail about the request carries it.
    _text("plan_hash"),
    sa.Index("requests_by_state", "registry", "state"),
    sqlite_autoincrement=True,
)

items = sa.Table(
    "items",
    metadata,
    sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    _text("repository"),
    _text("tag"),
    _text("digest"),
    _text("state"),
    _text("placeholder"),
    _text("detail"),
)

windows = sa.Table(
    "windows",
    metadata,
    sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("repository", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    _text("registry"),
    _text("state"),
    _time("until", nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    _text("holder"),
    sa.Index("windows_open", "registry", "state"),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("request_id", sa.Integer, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("team", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("approves", sa.Boolean, nullable=False),
    _text("reason"),
    _time("at", nullable=False),
)

manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    _text("media_type"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # What the image's config says; null until somebody asked for it.
    sa.Column("config", _JSON(none_as_null=True), nullable=True),
)

manifest_blobs = sa.Table(
    "manifest_blobs",
    metadata,
    # What each stored image needs: config and layers, by digest, with their bytes.
    sa.Column("manifest", sa.Text, primary_key=True),
    sa.Column("blob", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Index("manifest_blobs_by_blob", "blob"),
)

holdings = sa.Table(
    "holdings",
    metadata,
    # Which manifests a repository held when it was last read whole; an empty digest stands for
    # the reading itself, so that an empty repository counts as known.
    sa.Column("registry", sa.Text, primary_key=True),
    sa.Column("repository", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    _time("seen_at", nullable=False),
    sa.Index("holdings_by_digest", "digest"),
)

locks = sa.Table(
    "locks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _text("registry"),
    # Empty: every repository of the registry.
    _text("repository"),
    _text("reason"),
    _text("actor"),
    _text("team"),
    _text("channel"),
    # The request that set it: what its end is told in.
    sa.Column("request_id", sa.Integer, nullable=False),
    _time("at", nullable=False),
    _time("until"),
    _time("ended_at"),
    # Whoever ended it; empty where its time was over.
    _text("ended_by"),
    sa.Index("locks_by_registry", "registry", "ended_at"),
    sqlite_autoincrement=True,
)

previews = sa.Table(
    "previews",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("token", sa.Text, nullable=False, unique=True),
    _text("registry"),
    _text("repository"),
    _text("actor"),
    _text("team"),
    _text("channel"),
    _text("message_ts"),
    _text("reason"),
    # Why it is looked at: "command", or the name of a retention rule.
    _text("origin"),
    # Which occurrence of a schedule it belongs to; null for what somebody typed.
    sa.Column("run", sa.Text, nullable=True),
    _text("state"),
    sa.Column("spec", _JSON, nullable=False),
    sa.Column("progress", _JSON, nullable=False),
    sa.Column("result", _JSON, nullable=False),
    sa.Column("request_id", sa.Integer, nullable=True),
    _time("created_at", nullable=False),
    _time("finished_at"),
    _time("edited_at"),
    # However often an occurrence is begun again, each repository is looked at once for it.
    sa.Index("previews_once", "run", "registry", "repository", unique=True),
    sqlite_autoincrement=True,
)

anchors = sa.Table(
    "anchors",
    metadata,
    # Heads of the audit trail that were posted to a channel; append-only like the trail.
    sa.Column("id", sa.Integer, primary_key=True),
    _time("at", nullable=False),
    sa.Column("entry_id", sa.Integer, nullable=False),
    _text("hash"),
    _text("channel"),
    sqlite_autoincrement=True,
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _time("at", nullable=False),
    _text("event"),
    _text("actor"),
    _text("team"),
    _text("channel"),
    _text("registry"),
    sa.Column("request_id", sa.Integer, nullable=True),
    _text("repository"),
    _text("tag"),
    _text("digest"),
    _text("rule"),
    _text("plan_hash"),
    sa.Column("detail", _JSON, nullable=False),
    _text("previous_hash"),
    _text("hash"),
    sa.Index("audit_by_request", "request_id"),
    sqlite_autoincrement=True,
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _text("kind"),
    _text("key"),
    sa.Column("request_id", sa.Integer, nullable=True),
    sa.Column("payload", _JSON, nullable=False),
    # A bearer address of Slack's: nulled as soon as it is used or too old.
    sa.Column("response_url", sa.Text, nullable=True),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    _time("run_at", nullable=False),
    _text("worker"),
    _time("lease_until"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False),
    _text("sent_ts"),
    _text("error"),
    sa.Index("outbox_due", "state", "run_at"),
    sa.Index("outbox_by_key", "key", "id"),
    sqlite_autoincrement=True,
)


def _append_only(table: str, words: str) -> dict[str, tuple[str, ...]]:
    """The triggers that let rows only be added to a table."""
    says = f"'the {words} is append-only'"
    known = f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)"  # noqa: S608 - a name of ours
    return {
        "sqlite": (
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, {says}); END",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, {says}); END",
            # INSERT OR REPLACE removes the old row without asking a DELETE trigger.
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {known} "
            f"BEGIN SELECT RAISE(ABORT, {says}); END",
        ),
        "postgresql": (
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$BEGIN RAISE EXCEPTION {says}; END$$",
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
        ),
    }


async def _protect(conn: AsyncConnection, table: str) -> None:
    for statement in _append_only(table, _PROTECTED[table])[conn.dialect.name]:
        await conn.exec_driver_sql(statement)


_PROTECTED = {"audit": "audit trail", "anchors": "list of posted heads"}


async def missing_triggers(conn: AsyncConnection) -> list[str]:
    """The names of the triggers that should keep rows from being changed, and do not."""
    missing = []
    for table, words in _PROTECTED.items():
        for statement in _append_only(table, words)[conn.dialect.name]:
            kind, name = statement.split()[1:3]
            if kind == "TRIGGER" and not await _stands(conn, name, statement):
                missing.append(name)
    return missing


async def _stands(conn: AsyncConnection, name: str, statement: str) -> bool:
    if conn.dialect.name == "sqlite":
        query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
        return bool(await conn.scalar(query, {"name": name}) == statement)
    query = sa.text("SELECT tgenabled FROM pg_trigger WHERE tgname = :name")
    return await conn.scalar(query, {"name": name}) in {"O", b"O", "A", b"A"}


async def _first(conn: AsyncConnection) -> None:
    await conn.run_sync(metadata.create_all)
    await _protect(conn, "audit")


async def _second(conn: AsyncConnection) -> None:
    """Steps and emergencies of requests; locks, previews, anchors, and who holds which bytes.

    A new database has all of it from the first migration, which makes today's tables.
    """
    await conn.run_sync(metadata.create_all)
    known = await conn.run_sync(
        lambda c: {x["name"] for x in sa.inspect(c).get_columns("requests")}
    )
    for column in (requests.c.steps, requests.c.emergency, requests.c.plan_hash):
        if column.name not in known:
            made = sa.schema.CreateColumn(column).compile(dialect=conn.dialect)
            await conn.exec_driver_sql(f"ALTER TABLE requests ADD COLUMN {made}")
    await _protect(conn, "anchors")
    await contents.fill(conn, manifests, manifest_blobs)


MIGRATIONS = (_first, _second)
"""Every change of the schema, in order; a released one is never edited."""

# Any number will do, as long as every process takes the same one.
_MIGRATION_LOCK = 7_215_003


class SchemaTooNew(Exception):
    """The database was made by a later version of the program."""


async def migrate(conn: AsyncConnection) -> None:
    """Bring the schema up to date inside the caller's transaction.

    Raises
    ------
    SchemaTooNew : the database knows migrations that this program does not.
    """
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    done = await version(conn)
    if done > len(MIGRATIONS):
        raise SchemaTooNew(
            f"the store has schema version {done}, this program knows {len(MIGRATIONS)}"
        )
    for number, migration in enumerate(MIGRATIONS[done:], start=done + 1):
        await migration(conn)
        if number == 1:
            await conn.execute(meta.insert().values(key="schema", value="1"))
        else:
            await conn.execute(
                meta.update().where(meta.c.key == "schema").values(value=str(number))
            )


async def version(conn: AsyncConnection) -> int:
    """How many migrations the database has had; 0 for one that is not ours."""
    exists = await conn.run_sync(lambda c: sa.inspect(c).has_table("meta"))
    if not exists:
        return 0
    value = await conn.scalar(sa.select(meta.c.value).where(meta.c.key == "schema"))
    return int(value or 0)
