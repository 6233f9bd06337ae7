"""A client for the engine's HTTP API: one method for each thing that is asked of it."""

import base64
import binascii
import io
import json
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bot.gc.docker.connection import PATIENCE, Connection
from bot.gc.docker.errors import EngineRefused, NotThere, refused
from bot.gc.docker.frames import STDOUT, frames
from bot.gc.docker.shapes import INSPECTED, LISTED, VOLUME, Inspected, check

_DIRECTORY = 1 << 31  # Go's mode bit
_FILE_LIMIT = 1 << 20


class Engine:
    """One engine.

    Parameters
    ----------
    address : `unix:///path` or `tcp://host:port`.
    tls_dir : has ca.pem, cert.pem and key.pem; without it TCP is spoken in the clear.
    seconds : how long each piece of an answer may take.
    """

    def __init__(
        self, address: str, tls_dir: Path | None = None, seconds: float = PATIENCE
    ) -> None:
        self.address = address
        self._on = Connection(address, tls_dir, seconds)

    async def version(self) -> str:
        """The engine's own version, for people."""
        told = await self._on.json("tell its version", "GET", "/version", plain=True)
        with self._on.understanding():
            return str(told["Version"])

    async def inspect(self, container: str) -> Inspected:
        """Everything about a container. Raises NotThere."""
        what = f"look at the container {container}"
        found: Inspected = await self._on.json(what, "GET", f"/containers/{container}/json")
        with self._on.understanding():
            return check(found, INSPECTED)

    async def containers(self, filters: Mapping[str, Sequence[str]]) -> list[Inspected]:
        """The containers that the filters let through, stopped ones too."""
        query = {"all": "true", "filters": json.dumps(filters)}
        found: list[Inspected] = await self._on.json(
            "list its containers", "GET", "/containers/json", params=query
        )
        with self._on.understanding():
            return [check(one, LISTED) for one in found]

    async def volumes(self) -> dict[str, Mapping[str, str]]:
        """The options of each volume, by its name."""
        found = await self._on.json("list its volumes", "GET", "/volumes")
        with self._on.understanding():
            listed = [check(one, VOLUME) for one in found.get("Volumes") or ()]
            return {one["Name"]: one.get("Options") or {} for one in listed}

    async def create(self, name: str, body: Mapping[str, Any]) -> str | None:
        """Make a container; its id, or None if the name is taken."""
        try:
            made = await self._on.json(
                f"make the container {name}",
                "POST",
                "/containers/create",
                params={"name": name},
                body=body,
            )
        except EngineRefused as error:
            if error.status == httpx.codes.CONFLICT:
                return None
            raise
        with self._on.understanding():
            return str(made["Id"])

    async def connect(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to one more network; nothing happens if it is connected."""
        body = {"Container": container, "EndpointConfig": endpoint}
        try:
            await self._on.json(
                f"connect to the network {network}",
                "POST",
                f"/networks/{network}/connect",
                body=body,
            )
        except EngineRefused as error:
            if "already exists" not in error.sentence:
                raise

    async def start(self, container: str, called: str) -> None:
        """Start a container; nothing happens if it runs. `called` names it for people."""
        await self._on.json(f"start {called}", "POST", f"/containers/{container}/start")

    async def stop(self, container: str, called: str, patience: float) -> None:
        """Stop a container, after as long as it may take; nothing happens if it does not run."""
        await self._on.json(
            f"stop {called}", "POST", f"/containers/{container}/stop", more=patience
        )

    async def kill(self, container: str) -> None:
        """Kill a container's processes at once; one that is not running, or gone, is no error."""
        try:
            await self._on.json("kill a container", "POST", f"/containers/{container}/kill")
        except EngineRefused as error:
            if error.status not in (httpx.codes.CONFLICT, httpx.codes.NOT_FOUND):
                raise

    async def remove(self, container: str, called: str) -> None:
        """Kill and remove a container, never its volumes; one that is gone is no error."""
        try:
            await self._on.json(
                f"remove {called}",
                "DELETE",
                f"/containers/{container}",
                params={"force": "true", "v": "false"},
            )
        except NotThere:
            return

    async def commands(self, container: str) -> list[str]:
        """The command line of each process inside; empty if it does not run."""
        query = {"ps_args": "-eo pid,args"}
        try:
            told = await self._on.json(
                "list the processes of a container",
                "GET",
                f"/containers/{container}/top",
                params=query,
            )
        except EngineRefused as error:
            if error.status in (httpx.codes.CONFLICT, httpx.codes.NOT_FOUND):
                return []
            if "is not running" in error.sentence:  # some engines call that an error of theirs
                return []
            raise
        with self._on.understanding():
            return [" ".join(row[1:]) for row in told.get("Processes") or ()]

    async def logs(
        self, container: str, *, follow: bool
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """What a container wrote, from its first word; with `follow` until it ends."""
        query = {"stdout": "true", "stderr": "true", "follow": str(follow).lower()}
        path = f"/containers/{container}/logs"
        async with self._on.stream(
            "read the output of a container", "GET", path, params=query
        ) as got:
            async for piece in frames(got.aiter_raw()):
                yield piece

    async def execute(self, container: str, argv: Sequence[str]) -> tuple[int, bytes]:
        """Run a command inside a running container: its exit code and its standard output."""
        what = f"run {argv[0]} in a container"
        order = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        made = await self._on.json(what, "POST", f"/containers/{container}/exec", body=order)
        output = bytearray()
        with self._on.understanding():
            begun = str(made["Id"])
        begin = {"Detach": False, "Tty": False}
        path = f"/exec/{begun}/start"
        async with self._on.stream(what, "POST", path, json=begin) as got:
            async for kind, piece in frames(got.aiter_raw()):
                if kind == STDOUT:
                    output += piece
        ended = await self._on.json(what, "GET", f"/exec/{begun}/json")
        with self._on.understanding():
            return int(ended["ExitCode"] or 0), bytes(output)

    async def file_sizes(self, container: str, paths: Iterable[str]) -> AsyncIterator[int | None]:
        """The bytes of each file inside, stopped or not; None where there is no such file."""
        prefix = await self._on.prefix()
        async with self._on.brief() as http:
            for path in paths:
                got = await self._on.send(
                    http, "HEAD", f"{prefix}/containers/{container}/archive", {"path": path}
                )
                yield _size(got)

    async def exists(self, container: str, path: str) -> bool:
        """Whether there is such a file or directory inside."""
        prefix = await self._on.prefix()
        async with self._on.brief() as http:
            url = f"{prefix}/containers/{container}/archive"
            return (await self._on.send(http, "HEAD", url, {"path": path})).is_success

    async def read_file(self, container: str, path: str) -> str | None:
        """The text of a small file inside; None where there is none that can be read."""
        async for size in self.file_sizes(container, [path]):
            if size is None or size > _FILE_LIMIT:
                return None
        prefix = await self._on.prefix()
        async with self._on.brief() as http:
            url = f"{prefix}/containers/{container}/archive"
            got = await self._on.send(http, "GET", url, {"path": path})
        if not got.is_success:
            return None
        try:
            with tarfile.open(fileobj=io.BytesIO(got.content)) as archive:
                member = archive.next()
                inside = archive.extractfile(member) if member and member.isfile() else None
                return inside.read().decode("utf-8", "replace") if inside else None
        except tarfile.TarError:
            return None


def _size(answer: httpx.Response) -> int | None:
    if not answer.is_success:
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        raise refused("look at a file", answer)
    try:
        told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        return None if int(told["mode"]) & _DIRECTORY else int(told["size"])
    except (KeyError, ValueError, RecursionError, binascii.Error):
        return None
