"""How a container is collected, as the operator wrote it, and why a set is refused."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bot.gc.argv import CommandSettings, collect_argv, remote_words, unusable

SOCKET = "unix:///var/run/docker.sock"
COLLECT = ("registry", "garbage-collect")

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """A registry in a container.

    `socket` is the engine's address: `unix:///path` or `tcp://host:port`, with `tls_dir` for a
    directory as DOCKER_CERT_PATH names one. `collect`, `config` and `storage_root` are words and
    paths inside the container; the last two are found out where they are not set. `clear_cache` is
    a command on the bot's host. `timeout` is in seconds and covers one collection.
    """

    container: str = ""
    socket: str = SOCKET
    tls_dir: Path | None = None
    mode: str = "read-only"
    collect: tuple[str, ...] = COLLECT
    config: str | None = None
    storage_root: PurePosixPath | None = None
    clear_cache: tuple[str, ...] = ()
    timeout: float = 6 * 3600.0

    def argv(self, config: str, *, dry_run: bool, delete_untagged: bool) -> list[str]:
        """The whole command of one collection, inside the container."""
        words = CommandSettings(collect=self.collect, config=config)
        return collect_argv(words, dry_run=dry_run, delete_untagged=delete_untagged)


def refusal(settings: DockerSettings) -> str | None:
    """Why no collection can be run with these settings, as a sentence; None if it can."""
    if not settings.container:
        return "No `container` is set: write the name of the registry's container."
    if not _NAME.fullmatch(settings.container):
        return f"`container` is no name of a container: “{settings.container}”."
    if settings.mode not in ("read-only", "offline"):
        return f"The mode “{settings.mode}” is unknown: write `read-only` or `offline`."
    if not settings.collect:
        return "`collect` is empty: leave it out, or write the collector's command."
    root = settings.storage_root
    if root is not None and not root.is_absolute():
        return f"`storage_root` {root} must be a path inside the container, from its root."
    if remote := remote_words(settings.collect):
        return (
            f"`collect` is run inside the container, and `{remote[0]}` is not there: leave it "
            'out, or write executor = "command".'
        )
    return unusable(settings.collect) or _bad_address(settings)


def _bad_address(settings: DockerSettings) -> str | None:
    try:
        address = urlsplit(settings.socket)
        port = address.port
    except ValueError:
        return "`socket` has no usable port: write tcp://HOST:PORT."
    if address.scheme == "unix" and not address.netloc and address.path.startswith("/"):
        return None
    if address.scheme != "tcp" or not address.hostname or port is None:
        return f"`socket` must be unix:///PATH or tcp://HOST:PORT, not “{settings.socket}”."
    if settings.tls_dir is not None:
        missing = [name for name in TLS_FILES if not (settings.tls_dir / name).is_file()]
        if missing:
            return (
                f"`tls_dir` {settings.tls_dir} has no {missing[0]}: it must hold ca.pem, cert.pem "
                "and key.pem, as DOCKER_CERT_PATH does."
            )
    return None


def client_words(settings: DockerSettings) -> list[str]:
    """The words by which docker's own client speaks to the same engine."""
    if settings.socket == SOCKET:
        return []
    words = ["-H", settings.socket]
    if settings.tls_dir is not None:
        options = ("--tlscacert", "--tlscert", "--tlskey")
        files = [str(settings.tls_dir / name) for name in TLS_FILES]
        words += ["--tlsverify", *(w for pair in zip(options, files, strict=True) for w in pair)]
    return words


def is_open_to_all(settings: DockerSettings) -> bool:
    """Whether the engine is spoken to over a network without TLS."""
    return settings.socket.startswith("tcp:") and settings.tls_dir is None
