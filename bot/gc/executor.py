"""What every way of collecting garbage can do: the one thing that operations know of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Collection as Several
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.gc.following import ProgressListener
from bot.gc.report import GcReport

Fence = Callable[[], Awaitable[None]]
"""Raises if whoever acts is not in charge any more; awaited right before each outside act.

A process can be paused at any moment and wake up beside its successor: what it believes to be
true may be long past then, and only the store knows who is in charge.
"""


async def unfenced() -> None:
    """A fence for those who need none."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found by looking, without a change. `ok` says whether a collection could run."""

    ok: bool
    text: str


class Executor(Protocol):
    """Switches one registry between read-write and read-only, and collects its garbage.

    Neither the object nor its process needs to live as long as a collection: another executor for
    the same registry finds it. A `job` names what belongs to one collection. Whatever goes wrong
    is a GcError; not knowing is never taken for a no.
    """

    @property
    def mode(self) -> str:
        """`read-only`, or `offline` where the registry is stopped instead."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether it collects beside a registry that takes pushes, as the settings allow."""
        ...

    @property
    def can_restore(self) -> bool:
        """Whether it can make the registry writable."""
        ...

    @property
    def unmeasured(self) -> str:
        """Why bytes are not measured, as far as is known; "" where they are."""
        ...

    def refusal(self) -> str | None:
        """Why no collection can be run with these settings, as a sentence; None if it can."""
        ...

    async def obstacle(self) -> str | None:
        """Why no collection can be run at present, as a sentence; None if it can."""
        ...

    async def examine(self) -> Examined:
        """Look at everything that a collection needs, for people, and change nothing."""
        ...

    def restore_command(self, job: str) -> str:
        """What to type where the registry must be made writable by hand."""
        ...

    def unfinished(self) -> str:
        """The command of an earlier process that still switches the registry, by its key.

        "" if there is none. Switching waits for it by itself.
        """
        ...

    async def switch_off_writes(self, job: str, fence: Fence = unfenced) -> None:
        """Make the registry read-only, or stop it."""
        ...

    async def disturbance(self) -> str:
        """What has become of the switch behind our back, as a sentence; "" if it stands."""
        ...

    async def switch_on_writes(self, job: str, fence: Fence = unfenced) -> None:
        """Make the registry writable, with an empty cache of its own; can be repeated.

        Only after `collecting` or `wait_until_gone` has shown that no collection runs.
        """
        ...

    async def clear_cache(self, fence: Fence = unfenced) -> None:
        """Empty a cache that outlives the registry's restart, if there is one."""
        ...

    async def collect(
        self,
        *,
        dry_run: bool,
        delete_untagged: bool,
        job: str,
        on_progress: ProgressListener | None = None,
        abort: asyncio.Event | None = None,
        timeout: float | None = None,
        fence: Fence = unfenced,
    ) -> GcReport:
        """Run one collection to its end and return what it printed, proven complete.

        Cancelling it leaves the collection running for a successor, as does a `fence` that does
        not let us act. Setting `abort` kills it and raises CollectionAborted; at `timeout` seconds
        it is killed as well.
        """
        ...

    async def collecting(self) -> bool:
        """Whether a collection runs, whoever started it."""
        ...

    async def wait_until_gone(self, timeout: float) -> bool:
        """Wait until no collection runs; False if that is not proven after `timeout` seconds."""
        ...

    async def kill_orphan(self, job: str, fence: Fence = unfenced) -> bool:
        """Kill a collection that outlived its process; returns whether none runs any more."""
        ...

    def read_log(self, job: str, *, dry_run: bool = False) -> GcReport:
        """The report of a collection whose end nobody saw; after it is gone."""
        ...

    def transcript(self, job: str, limit: int) -> list[tuple[str, str]]:
        """What a job's dry run and its collection printed, each with its title.

        At most `limit` bytes of each; empty where nothing was run, or on another host.
        """
        ...

    def sweep(self) -> None:
        """Remove the files of jobs that ended long ago."""
        ...

    def forget(self, job: str) -> None:
        """Remove the files of a job."""
        ...

    def write_note(self, job: str, sizes: Mapping[str, int]) -> None:
        """Keep the bytes of each blob that a job is about to delete."""
        ...

    def read_note(self, job: str) -> dict[str, int] | None:
        """What `write_note` kept; None if there is nothing."""
        ...

    async def blob_sizes(self, digests: Several[str]) -> dict[str, int] | None:
        """The bytes of those blobs that lie in the storage; None where it is out of reach."""
        ...

    async def storage(self) -> Path | None:
        """The root of the storage as a directory that the bot itself can read; else None."""
        ...

    async def disk(self) -> tuple[int, int] | None:
        """Bytes used and in all on the disk of the storage; None if that cannot be told."""
        ...
