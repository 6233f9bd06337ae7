"""The operator's commands: their settings, the words that are run, and why a set is refused.

Nothing here runs anything. Commands are lists of words and never go through a local shell; ssh
is the one program that hands its words to a shell of its own, so these are quoted for it.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PLACEHOLDER = "{config}"

REDIS_CACHE = (
    "The registry caches blobs in redis, which outlives its restart: after a collection it "
    "would promise layers that are gone. Set `clear_cache` to a command that empties it."
)

# Programs behind which the collection is no child of ours: killing them, or the bot, leaves it
# running, and our lock file cannot show that it does.
REMOTE_WORDS = frozenset({
    "docker", "docker-compose", "podman", "podman-compose", "nerdctl", "crictl", "ctr",
    "lxc", "incus", "kubectl", "oc", "k3s", "nomad",
    "ssh", "slogin", "mosh", "rsh",
    "sudo", "doas", "su", "runuser", "pkexec", "systemd-run", "machinectl",
})  # fmt: skip

_SSH_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopPQRSWw")
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh", "su", "runuser"})
_OWN_FLAGS = frozenset({"-d", "--dry-run", "--detach", "-m", "--delete-untagged", "-q", "--quiet"})
_REDIS = re.compile(
    r"""^[^#\n]*\b(?:blobdescriptor|layerinfo)["']?[ \t]*:\s*["']?redis\b""",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """How the registry is switched and collected by commands, as the operator wrote it.

    `config` is the registry's configuration where the collection runs; `timeout` is in seconds
    and covers one collection. `running` exits 0 while a collection runs, and with 1 to 124 while
    none does. A script given as `collect` must pass its arguments on, as flags are appended.
    """

    collect: tuple[str, ...]
    config: str | None = None
    start_read_only: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    clear_cache: tuple[str, ...] = ()
    storage_root: Path | None = None
    timeout: float = 6 * 3600.0
    mode: str = "read-only"
    unsafe_allow_live_gc: bool = False

    @property
    def switch_off(self) -> tuple[str, ...]:
        """The command after which the registry accepts no pushes, empty if there is none."""
        return self.stop if self.mode == "offline" else self.start_read_only


def remote_words(words: Sequence[str]) -> list[str]:
    """The words that name a program of REMOTE_WORDS, also by its path or inside a script."""
    parts = (part for word in words for part in re.split(r"[\s;|&()]+", word))
    return [part for part in parts if PurePosixPath(part).name.lower() in REMOTE_WORDS]


def quoted(words: Sequence[str]) -> tuple[str, ...]:
    """The words as they are run: those that ssh gives to a remote shell are quoted for it.

    ssh joins them with spaces and lets the remote shell split them again, so a path with a space
    or a `$` would change on the way. An ssh behind an ssh is quoted twice.
    """
    words = tuple(words)
    start = _remote_start(words)
    if start is None:
        return words
    return (*words[:start], *(shlex.quote(word) for word in quoted(words[start:])))


def collect_argv(settings: CommandSettings, *, dry_run: bool, delete_untagged: bool) -> list[str]:
    """The whole command of one collection: flags, then the config path or where it belongs.

    Inside a script, as in `sh -c "… garbage-collect {config}"`, flags and path both stand where
    the placeholder does.
    """
    flags = ["--dry-run"] * dry_run + ["--delete-untagged"] * delete_untagged
    config = settings.config or ""
    words: list[str] = []
    placed_config = placed_flags = False
    for word in settings.collect:
        if word == PLACEHOLDER:
            words += [*flags, config]
            placed_config = placed_flags = True
        elif PLACEHOLDER in word and _is_script(word):
            words.append(word.replace(PLACEHOLDER, shlex.join([*flags, config])))
            placed_config = placed_flags = True
        else:
            placed_config = placed_config or PLACEHOLDER in word
            words.append(word.replace(PLACEHOLDER, config))
    if not placed_flags:
        words += flags
    if not placed_config and config:
        words.append(config)
    return list(quoted(words))


def refusal(settings: CommandSettings) -> str | None:
    """Why no collection can be run with these settings, as a sentence; None if it can."""
    return (
        _missing(settings)
        or unusable(settings.collect)
        or _bad_ssh(settings)
        or _unseen(settings)
        or _stale_cache(settings)
    )


def _missing(settings: CommandSettings) -> str | None:
    if not settings.collect:
        return "No `collect` command is set: write the command that runs the garbage collection."
    if settings.mode not in ("read-only", "offline"):
        return f"The mode “{settings.mode}” is unknown: write `read-only` or `offline`."
    if settings.config is None and any(PLACEHOLDER in word for word in settings.collect):
        return "`collect` has a place for {config}, but `config` is not set: write its path."
    if settings.unsafe_allow_live_gc:
        return None
    switch = "stop" if settings.mode == "offline" else "start_read_only"
    if not settings.switch_off:
        return (
            f"No `{switch}` command is set: without it pushes go on during a collection, which "
            "breaks images silently."
        )
    if not settings.start:
        return "No `start` command is set: nothing could make the registry writable again."
    return None


def unusable(collect: Sequence[str]) -> str | None:
    """Why the flags of a collection would go wrong with this `collect`; None if they do not."""
    own = next((word for word in _flag_words(collect) if word in _OWN_FLAGS), None)
    if own is not None:
        return (
            f"`collect` must not contain `{own}`: the bot adds the flags of a collection itself, "
            "and needs its output and its end."
        )
    shell = {PurePosixPath(word).name for word in collect} & _SHELLS
    inline = any(re.fullmatch(r"-[a-z]*c|--command", word) for word in collect)
    placed = any(_is_script(word) and PLACEHOLDER in word for word in collect)
    if shell and inline and not placed:
        # The flags would become parameters of the shell: a dry run would really delete.
        return (
            "`collect` runs a shell script that has no place for {config}: flags such as --dry-run "
            "would be lost. Write {config} into the script, after `garbage-collect`."
        )
    return None


def _flag_words(words: Sequence[str]) -> list[str]:
    # -m and -q may belong to the program around (`docker run -m 512m`); the others never do good.
    after = words[words.index("garbage-collect") :] if "garbage-collect" in words else ()
    return [word for word in words if word not in ("-m", "-q") or word in after]


def _bad_ssh(settings: CommandSettings) -> str | None:
    for field in ("collect", "start_read_only", "start", "stop", "running", "clear_cache"):
        words: tuple[str, ...] = getattr(settings, field)
        start = _remote_start(words)
        if start is not None and start < len(words) and re.search(r"\s", words[start]):
            return (
                f"`{field}` gives ssh its remote command as one string: write each word as an "
                "element of its own, the bot quotes them for the remote shell."
            )
    return None


def _unseen(settings: CommandSettings) -> str | None:
    remote = remote_words(settings.collect)
    if remote and not settings.running:
        return (
            f"`collect` runs through `{PurePosixPath(remote[0]).name}`, so a collection can "
            "outlive the bot unseen. Set `running` to a command that exits 0 while a collection "
            "runs, such as one with `pgrep`."
        )
    return None


def _stale_cache(settings: CommandSettings) -> str | None:
    if settings.clear_cache or settings.config is None:
        return None
    try:
        text = Path(settings.config).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # the path is meant for a container or another host
    if _REDIS.search(text) is None:
        return None
    return REDIS_CACHE


def _is_script(word: str) -> bool:
    return re.search(r"\s", word) is not None


def _remote_start(words: Sequence[str]) -> int | None:
    """The index of the first word that ssh hands to the remote shell; None without an ssh."""
    for index, word in enumerate(words):
        if PurePosixPath(word).name == "ssh":
            return _after_host(words, index + 1)
    return None


def _after_host(words: Sequence[str], index: int) -> int:
    # As ssh reads them: options, the host, more options unless `--` ended them, the command.
    index, ended = _after_options(words, index)
    if index < len(words):
        index += 1
    return index if ended else _after_options(words, index)[0]


def _after_options(words: Sequence[str], index: int) -> tuple[int, bool]:
    while index < len(words) and words[index].startswith("-") and words[index] != "-":
        word = words[index]
        index += 1
        if word == "--":
            return index, True
        letters = word[1:]
        position = next((i for i, one in enumerate(letters) if one in _SSH_WITH_VALUE), None)
        if position is not None and position == len(letters) - 1:
            index += 1
    return index, False
