"""Which registry the playground runs: a program of this machine, else a container."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from bot.demo.ports import free_port

IMAGE = "docker.io/library/registry:2"
_PROGRAMS = ("registry", "docker-registry")
_ENGINES = ("docker", "podman")
_ANSWER_SECONDS = 5.0
_PULL_SECONDS = 300.0
_START_SECONDS = 60.0
_TRIES = 3

_CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance:
    readonly: {{enabled: {read_only}}}
http: {{addr: {address}, secret: {secret}}}
"""


class NoRegistry(Exception):
    """There is no registry to run, or it does not start. `sentence` says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Server:
    """A registry that can be started, stopped, and collected.

    `state` holds its configuration and log, `storage` its images.
    """

    state: Path
    storage: Path
    url: str
    collect: tuple[str, ...]
    running: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        """Its configuration file when it takes pushes."""
        return self.state / "config.yml"

    def control(self, verb: str) -> tuple[str, ...]:
        """The command that switches it: read-only, read-write, stop."""
        script = Path(__file__).with_name("registryctl.py")
        # -I: no module of the directory that somebody happens to be in.
        return (sys.executable, "-I", str(script), str(self.state), verb)

    async def start(self) -> None:
        """Start it for pushes and return when it answers. Raises `NoRegistry`."""
        code, output = await run(self.control("read-write"), _START_SECONDS)
        if code:
            raise NoRegistry(f"The registry does not start: {output.strip()}")

    async def stop(self) -> None:
        """Stop it for good, and return when it is gone. Raises `NoRegistry`.

        A switch that still waits for its turn cannot start it again.
        """
        (self.state / "closed").touch()
        code, output = await run(self.control("stop"), _START_SECONDS)
        if code:
            raise NoRegistry(f"The registry does not stop: {output.strip()}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found to run a registry with: a program, or an engine for containers."""

    program: str = ""
    engine: str = ""
    extra: tuple[str, ...] = field(default=())

    @classmethod
    async def find(cls, path: str, say: Callable[[str], None]) -> Self:
        """Look for a registry.

        Parameters
        ----------
        path : where programs are, as in the variable PATH.
        say : takes a line about what takes long.

        Raises
        ------
        NoRegistry : there is none.
        """
        for name in _PROGRAMS:
            if (program := _which(name, path)) is not None:
                return cls(program=program)
        for name in _ENGINES:
            engine = _which(name, path)
            if engine is not None and await _has_image(engine, say):
                return cls(engine=engine, extra=_as_me(name))
        raise NoRegistry(
            "There is no registry to play with: put the program `registry` or `docker-registry` "
            "on the PATH, start Docker or Podman, or type `make demo`, which installs one with "
            "the package manager."
        )


async def open_server(choice: Choice, directory: Path) -> Server:
    """Start the chosen registry with its data in `directory`.

    Raises
    ------
    NoRegistry : it does not start, or its storage cannot be seen from here.
    """
    for left in reversed(range(_TRIES)):
        server = _prepare(choice, directory, free_port())
        try:
            await server.start()
            await _prove(server)
        except BaseException as error:
            with contextlib.suppress(NoRegistry):
                await server.stop()
            # Somebody may have taken the port before the registry could.
            if not isinstance(error, NoRegistry) or not left:
                raise
        else:
            return server
    raise AssertionError("unreachable")


async def stop_leftover(directory: Path) -> None:
    """Stop the registry of a playground that was killed over the same directory."""
    if (directory / "registry" / "server.json").exists():
        await Server(directory / "registry", directory / "storage", "", ()).stop()


async def run(argv: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a command; its exit code and what it said. A code of -1: it did not end in time."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Ctrl-C in a terminal reaches the whole group; what stops is decided here.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if not isinstance(error, TimeoutError):
            raise
        return -1, f"`{argv[0]}` did not end within {seconds:.0f} seconds"
    return process.returncode or 0, output.decode(errors="replace")


def _prepare(choice: Choice, directory: Path, port: int) -> Server:
    state, storage = directory / "registry", directory / "storage"
    for made in (state, storage):
        made.mkdir(mode=0o700, exist_ok=True)
    inside = "127.0.0.1" if choice.program else ""
    secret = secrets.token_hex(16)
    for name, read_only in (("config.yml", "false"), ("config-read-only.yml", "true")):
        text = _CONFIG.format(
            root=json.dumps(str(storage)),
            read_only=read_only,
            address=json.dumps(f"{inside}:{port}"),
            secret=secret,
        )
        (state / name).write_text(text, encoding="utf-8")
    description, collect, running = _described(choice, directory, port)
    (state / "server.json").write_text(json.dumps(description), encoding="utf-8")
    (state / "closed").unlink(missing_ok=True)
    return Server(state, storage, f"http://127.0.0.1:{port}", collect, running)


def _described(
    choice: Choice, directory: Path, port: int
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """What registryctl reads, the command that collects, and the one that tells whether it does."""
    if choice.program:
        program = {"port": port, "program": choice.program}
        return program, (choice.program, "garbage-collect"), ()
    name = f"registry-bot-demo-{port}"
    # The same path inside and outside, so that one configuration is right on both sides.
    words = ["--detach", "--name", name, "--publish", f"127.0.0.1:{port}:{port}"]
    words += ["--volume", f"{directory}:{directory}", "--security-opt", "label=disable"]
    words += [*choice.extra, "--entrypoint", "registry", IMAGE]
    enter = (choice.engine, "exec", name)
    return (
        {
            "port": port,
            "engine": choice.engine,
            "name": name,
            "run": [choice.engine, "run", *words],
        },
        (*enter, "registry", "garbage-collect"),
        (*enter, "pgrep", "-f", "garbage-collect"),
    )


async def _prove(server: Server) -> None:
    """An upload appears on the disk that the bot will measure, and is cancelled again."""
    try:
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # noqa: S501
            begun = await http.post(f"{server.url}/v2/probe/uploads/blobs/uploads/")
            seen = any(server.storage.rglob("_uploads/*"))
            if begun.status_code == httpx.codes.ACCEPTED:
                await http.delete(begun.url.join(begun.headers["Location"]))
    except (httpx.HTTPError, OSError) as error:
        raise NoRegistry(f"The registry takes no upload: {error}.") from error
    if begun.status_code != httpx.codes.ACCEPTED or not seen:
        raise NoRegistry(
            f"The registry cannot keep images in {server.storage}: it answered "
            f"{begun.status_code} to an upload. Put the program `registry` or `docker-registry` "
            "on the PATH, and it needs no container."
        )


async def _has_image(engine: str, say: Callable[[str], None]) -> bool:
    """Whether an engine answers and has, or can fetch, the image of a registry."""
    code, _ = await run((engine, "ps", "--quiet"), _ANSWER_SECONDS)
    if code:
        return False
    code, _ = await run((engine, "image", "inspect", IMAGE), _ANSWER_SECONDS)
    if code:
        say(f"Fetching the image {IMAGE}, once.")
        code, output = await run((engine, "pull", IMAGE), _PULL_SECONDS)
        if code:
            say(f"{Path(engine).name} could not fetch it: {output.strip()[-500:]}")
    return code == 0


def _as_me(engine: str) -> tuple[str, ...]:
    """Options by which files in the storage belong to whoever started the playground."""
    mapped = ("--userns", "keep-id") if engine == "podman" and os.getuid() else ()
    return (*mapped, "--user", f"{os.getuid()}:{os.getgid()}")


def _which(name: str, path: str) -> str | None:
    found = shutil.which(name, path=path)
    return os.path.abspath(found) if found else None  # noqa: PTH100 - a link keeps its name
