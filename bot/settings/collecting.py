"""From `[registries.gc]` to how garbage is collected: by commands, or in a container."""

from pathlib import Path, PurePosixPath

from bot.gc.argv import CommandSettings
from bot.gc.argv import refusal as command_refusal
from bot.gc.docker.settings import COLLECT, SOCKET, DockerSettings, is_open_to_all
from bot.gc.docker.settings import refusal as docker_refusal
from bot.settings import file
from bot.settings.problems import Findings

GcSettings = CommandSettings | DockerSettings

_ONLY_DOCKER = ("socket", "container", "tls_dir")
_ONLY_COMMAND = ("start_read_only", "start", "stop", "running")


def collecting(
    table: file.GcTable, key: str, directory: Path, findings: Findings
) -> tuple[GcSettings | None, str]:
    """The settings of a collector, or None and why there is none.

    `key` is how people find the table; relative paths start at `directory`.
    """
    settings: GcSettings
    if table.executor == "docker":
        settings = _docker(table, directory)
        note = docker_refusal(settings)
    else:
        settings = _command(table, directory)
        note = command_refusal(settings)
    unused, other = (
        (_ONLY_COMMAND, "command") if table.executor == "docker" else (_ONLY_DOCKER, "docker")
    )
    for name in unused:
        if getattr(table, name):
            findings.warn(f"{key}.{name}", f"only the executor “{other}” uses this.")
    if note is not None:
        findings.warn(key, f"garbage collection is refused: {note}")
        return None, note
    _warn(settings, table, key, findings)
    return settings, ""


def _warn(settings: GcSettings, table: file.GcTable, key: str, findings: Findings) -> None:
    if isinstance(settings, DockerSettings):
        if table.unsafe_allow_live_gc:
            findings.warn(
                f"{key}.unsafe_allow_live_gc", "a container is always switched: this does nothing."
            )
        if is_open_to_all(settings):
            findings.warn(
                f"{key}.socket",
                "the engine is spoken to without TLS: whoever reaches this address is root on "
                "its host. Set `tls_dir`.",
            )
        return
    if table.unsafe_allow_live_gc:
        findings.warn(
            f"{key}.unsafe_allow_live_gc",
            "a collection beside a registry that accepts pushes can break images silently.",
        )
    if settings.storage_root is not None and not settings.storage_root.is_dir():
        findings.warn(
            f"{key}.storage_root",
            f"{settings.storage_root} is no directory here, so freed bytes cannot be measured.",
        )


def _command(table: file.GcTable, directory: Path) -> CommandSettings:
    root = table.storage_root
    return CommandSettings(
        collect=tuple(table.collect),
        config=table.config,
        start_read_only=tuple(table.start_read_only),
        start=tuple(table.start),
        stop=tuple(table.stop),
        running=tuple(table.running),
        clear_cache=tuple(table.clear_cache),
        storage_root=directory / Path(root).expanduser() if root else None,
        timeout=table.timeout,
        mode=table.mode,
        unsafe_allow_live_gc=table.unsafe_allow_live_gc,
    )


def _docker(table: file.GcTable, directory: Path) -> DockerSettings:
    return DockerSettings(
        container=table.container or "",
        socket=table.socket or SOCKET,
        tls_dir=directory / Path(table.tls_dir).expanduser() if table.tls_dir else None,
        mode=table.mode,
        collect=tuple(table.collect) or COLLECT,
        config=table.config,
        storage_root=PurePosixPath(table.storage_root) if table.storage_root else None,
        clear_cache=tuple(table.clear_cache),
        timeout=table.timeout,
    )
