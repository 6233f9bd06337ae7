"""The tables of `registry-bot.toml`, with every key and every default.

One class for each table, in the order of the file. A key that is not here is an error when the
file is read; a default that depends on other tables is `None` here and filled in later.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.settings.values import (
    ChannelId,
    Duration,
    EnvReference,
    Label,
    Listen,
    LoginSource,
    Names,
    RegistryName,
    RepositoryName,
    RepositoryPatterns,
    RuleAction,
    Schedule,
    StoreUrl,
    TagPatterns,
    TimeZone,
    Url,
    UsergroupId,
    UserId,
    Window,
    Words,
)


class Table(BaseModel):
    """A table of the file. Strict: `"true"` in quotes is no boolean, and no key is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SlackTable(Table):
    """`[slack]`: how events arrive, and where the bot's own pages listen."""

    mode: Literal["socket", "http"] = "socket"
    listen: Listen = "127.0.0.1:8080"
    max_connection_age: Duration = 1800.0


class LimitsTable(Table):
    """`[limits]`: how much of one person, one channel and all of them is taken in."""

    commands_per_minute: int = Field(default=100, ge=1, le=100_000)
    channel_commands_per_minute: int = Field(default=1000, ge=1, le=100_000)
    clicks_per_minute: int = Field(default=300, ge=1, le=100_000)
    waiting_commands: int = Field(default=1000, ge=10, le=100_000)
    jobs_per_registry: int = Field(default=100, ge=1, le=100_000)


class StoreTable(Table):
    """`[store]`: the database."""

    url: StoreUrl = "sqlite:///registry-bot.db"


class GcTable(Table):
    """`[registries.gc]`: how garbage is collected; times in seconds."""

    executor: Literal["command", "docker"] = "command"
    mode: Literal["read-only", "offline"] = "read-only"
    collect: Words = []
    config: str | None = None
    start_read_only: Words = []
    start: Words = []
    stop: Words = []
    running: Words = []
    clear_cache: Words = []
    storage_root: str | None = None
    timeout: Duration = 6 * 3600.0
    schedule: Schedule | None = None
    unsafe_allow_live_gc: bool = False
    socket: str | None = None
    tls_dir: str | None = None
    container: str | None = None


class RegistryTable(Table):
    """`[[registries]]`: one registry."""

    name: RegistryName
    url: Url
    ca_file: str | None = None
    credentials: LoginSource | None = None
    write_urls: list[Url] = []
    probe_repository: RepositoryName = ""
    events_secret: EnvReference | None = None
    gc: GcTable | None = None


class DefaultsTable(Table):
    """`[defaults]`: what rules leave out; times in seconds."""

    require_reason: bool = False
    allow_self_approval: bool = False
    expires_after: Duration = 1800.0
    execute_within: Duration = 900.0
    undo_window: Window = 86400.0
    max_tags_per_request: int = Field(default=500, ge=1, le=100_000)
    timezone: TimeZone = "UTC"


class GroupTable(Table):
    """One line of `[groups]`: people by their ids."""

    slack_usergroup: UsergroupId | None = None
    users: list[UserId] = []


class ChannelTable(Table):
    """`[[channels]]`: where the bot listens."""

    id: ChannelId
    registries: Names


class ProtectedTable(Table):
    """`[[protected]]`: what nobody can delete."""

    repositories: RepositoryPatterns | None = None
    tags: TagPatterns | None = None


class StepTable(Table):
    """One of a rule's `steps`: so many of these groups' people must agree."""

    approvers: Names
    approvals_needed: int = Field(default=1, ge=1)


class RuleTable(Table):
    """`[[rules]]`: who may ask for what, and who must agree."""

    name: Label
    actions: list[RuleAction] = Field(min_length=1)
    repositories: RepositoryPatterns | None = None
    tags: TagPatterns | None = None
    requesters: Names | None = None
    effect: Literal["allow", "deny"] = "allow"
    approval: Literal["confirm", "required"] = "required"
    steps: list[StepTable] = Field(default=[], max_length=10)
    require_reason: bool | None = None
    allow_self_approval: bool | None = None
    expires_after: Duration | None = None
    execute_within: Duration | None = None
    undo_window: Window | None = None
    remind_after: Duration | None = None
    escalate_to: Names | None = None


class EmergencyTable(Table):
    """`[emergency]`: break-glass."""

    enabled: bool = False
    actions: list[RuleAction] = ["gc", "delete", "purge request"]
    requesters: list[str] = []
    min_reason_length: int = Field(default=20, ge=0, le=1000)
    notify: list[str] = []


class KeepTable(Table):
    """One of a retention's `keep` entries; without a limit it keeps every matching tag."""

    tags: TagPatterns = ["*"]
    most_recent_count: int | None = Field(default=None, ge=0)
    created_within: Window | None = None


class RetentionTable(Table):
    """`[[retention]]`: what is kept, and who hears of the rest."""

    name: Label
    repositories: RepositoryPatterns
    keep: list[KeepTable]
    mode: Literal["preview", "request"] = "preview"
    schedule: Schedule | None = None
    channel: ChannelId | None = None


class AuditTable(Table):
    """`[audit]`: where the audit trail is anchored."""

    anchor_channel: ChannelId | None = None


SINGLE: dict[str, type[Table]] = {
    "slack": SlackTable,
    "limits": LimitsTable,
    "store": StoreTable,
    "defaults": DefaultsTable,
    "emergency": EmergencyTable,
    "audit": AuditTable,
}
REPEATED: dict[str, type[Table]] = {
    "registries": RegistryTable,
    "channels": ChannelTable,
    "protected": ProtectedTable,
    "rules": RuleTable,
    "retention": RetentionTable,
}
