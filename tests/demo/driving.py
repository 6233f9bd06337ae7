"""The playground as a process, driven through its page's API as a browser would."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

ANN, BOB, CAT, GUS = "U0ANN", "U0BOB", "U0CAT", "U0GUS"
OPS, GENERAL = "C0REGOPS", "C0GENERAL"
ROOT = Path(__file__).resolve().parents[2]
_START = 30.0


class Demo:
    """A running playground. `began` is when its process was started (of time.monotonic)."""

    def __init__(self, process: asyncio.subprocess.Process, began: float) -> None:
        self.process = process
        self.began = began
        self.output = ""
        self.url = self.registry = ""
        self.directory = Path()
        self._http = httpx.AsyncClient(trust_env=False, timeout=20, verify=False)

    @classmethod
    async def start(cls, *words: str, **environ: str) -> "Demo":
        """Start it on a free port and wait until it says where it is."""
        began = time.monotonic()
        demo = cls(await spawn("--port", "0", *words, **environ), began)
        try:
            async with asyncio.timeout(_START):
                await demo._read_until("Ctrl-C stops")
        except BaseException:
            await demo.kill()
            raise
        demo.url = demo._found(r"Open (http://127\.0\.0\.1:\d+/) and type")
        demo.registry = demo._found(r"registry is a real one, at (http://127\.0\.0\.1:\d+);")
        demo.directory = Path(demo._found(r"log are in\n(.+)\n"))
        return demo

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found, self.output
        return found[1]

    async def _read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        while words not in self.output:
            line = await self.process.stdout.readline()
            assert line, f"it ended: {self.output}"
            self.output += line.decode()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code. The rest of its output is in `output`."""
        await self._http.aclose()
        self.process.send_signal(number)
        async with asyncio.timeout(40):
            rest, _ = await self.process.communicate()
        self.output += rest.decode()
        return self.process.returncode or 0

    async def kill(self) -> None:
        """End its process without giving it a chance to tidy up."""
        await self._http.aclose()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def state(self, user: str) -> dict[str, Any]:
        """What somebody sees."""
        try:
            answer = await self._http.get(f"{self.url}api/state", params={"user": user})
        except httpx.TransportError as error:
            ended = self.process.returncode
            raise AssertionError(f"{error!r}, exit code {ended}: {self.output}") from error
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    async def messages(self, user: str, channel: str = OPS) -> list[dict[str, Any]]:
        """What somebody sees in a channel, threads included."""
        return [m for m in (await self.state(user))["messages"] if m["channel"] == channel]

    async def types(self, user: str, text: str, channel: str = OPS) -> None:
        """Type `/registry TEXT`."""
        body = {"user": user, "channel": channel, "text": f"/registry {text}"}
        await self._post("command", body)

    async def asks(self, user: str, text: str, channel: str = OPS) -> str:
        """Type a command and return the answer that only this person sees."""
        known = {m["ts"] for m in await self.messages(user, channel) if m["ephemeral"]}
        await self.types(user, text, channel)
        found = await self.until(
            user, lambda m: m["ephemeral"] and m["ts"] not in known, channel=channel
        )
        return words_of(found)

    async def requests(self, user: str, text: str) -> dict[str, Any]:
        """Type a command that makes a request and return its message."""
        known = {m["ts"] for m in await self.messages(user)}
        await self.types(user, text)
        # On a busy machine an earlier message may come a second time meanwhile.
        return await self.until(
            user,
            lambda m: not m["ephemeral"] and m["ts"] not in known and "pending" in words_of(m),
        )

    async def clicks(self, user: str, message: Mapping[str, Any], label: str) -> None:
        """Press a button of a message as this person sees it now."""
        now = await self.until(user, lambda m: m["ts"] == message["ts"])
        block, button = _button(now, label)
        body = {"user": user, "channel": now["channel"], "ts": now["ts"]}
        await self._post(
            "click", {**body, "block_id": block["block_id"], "action_id": button["action_id"]}
        )

    async def shows(self, message: Mapping[str, Any], *words: str) -> str:
        """Wait until a message, as Ann sees it, has all these words; what it says then."""

        def there(m: Mapping[str, Any]) -> bool:
            return m["ts"] == message["ts"] and all(w in words_of(m) for w in words)

        return words_of(await self.until(ANN, there))

    async def until(
        self,
        user: str,
        wanted: Callable[[Mapping[str, Any]], bool],
        channel: str = OPS,
        seconds: float = 30,
    ) -> dict[str, Any]:
        """Wait for a message that somebody sees."""
        seen: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    seen = await self.messages(user, channel)
                    if found := [m for m in seen if wanted(m)]:
                        return found[-1]
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError("\n---\n".join(words_of(m) for m in seen)) from None

    async def tags(self, repository: str) -> list[str] | None:
        """What the registry itself says; None for a repository it does not know."""
        answer = await self._http.get(f"{self.registry}/v2/{repository}/tags/list")
        return sorted(answer.json()["tags"] or []) if answer.status_code == 200 else None

    def blobs(self) -> set[Path]:
        """The bytes that lie on the registry's disk."""
        return set((self.directory / "storage").glob("**/blobs/**/data"))

    async def _post(self, name: str, body: Mapping[str, Any]) -> None:
        answer = await self._http.post(f"{self.url}api/{name}", json=body)
        assert answer.status_code == 200, answer.text
        assert not answer.json().get("error"), answer.text


async def spawn(*words: str, **environ: str) -> asyncio.subprocess.Process:
    """`registry-bot demo WORDS` as a process; `environ` is added to ours."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "demo", *words),
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def told(*words: str, **environ: str) -> tuple[int, str]:
    """Run it to its end, where it should come to one; exit code and what it said."""
    process = await spawn(*words, **environ)
    try:
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode()


def processes_about(directory: Path) -> list[str]:
    """The command lines of processes that name a directory; the dead have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


def words_of(message: Mapping[str, Any]) -> str:
    """Every text of a message."""
    return "\n".join([message["text"], *_texts(message["blocks"])])


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [t for one in value.values() for t in _texts(one)]
    return [t for one in value for t in _texts(one)] if isinstance(value, list) else []


def _button(message: Mapping[str, Any], label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for block in message["blocks"]:
        for element in [*block.get("elements", []), block.get("accessory") or {}]:
            if element.get("type") == "button" and element["text"]["text"] == label:
                return block, element
    raise AssertionError(f"no button {label!r} in: {words_of(message)}")
