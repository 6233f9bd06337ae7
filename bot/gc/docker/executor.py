"""Collects a registry in a container: a read-only clone serves, another one collects.

The collection runs in a container of its own, made like the registry's. Its output and its exit
code are kept by the engine, so a successor of this process learns them; killing it leaves pulls
alone; and removing the clones ends every collection before the original is started.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import Collection as Several
from collections.abc import Mapping
from pathlib import Path

from bot.gc.commands import Commands
from bot.gc.docker.clone import COLLECTOR, DRY_RUN, SERVER, Owner, collector, server
from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineRefused
from bot.gc.docker.facts import FILESYSTEM
from bot.gc.docker.measure import Measuring, why_unmeasured
from bot.gc.docker.run import Run
from bot.gc.docker.settings import DockerSettings, client_words, refusal
from bot.gc.docker.site import Lookout, is_collecting, is_server, is_up, role
from bot.gc.docker.switching import Switched, Switching
from bot.gc.ending import killed_unless_over, may_begin
from bot.gc.errors import CommandFailed, NotKept
from bot.gc.executor import Examined, Fence, unfenced
from bot.gc.files import JobFiles, KeepsFiles
from bot.gc.following import ProgressListener, follow
from bot.gc.report import GcReport, ReportParser
from bot.gc.waiting import until_gone

_LEFTOVER_AGE = 3600.0


class DockerExecutor(KeepsFiles):
    """Switches one registry's container and collects its garbage through the engine's API.

    `state_dir` holds the outputs and plans. `name` is the registry's. `environ` is what the
    `clear_cache` command finds in its environment; by default ours without Slack's secrets.
    """

    def __init__(
        self,
        settings: DockerSettings,
        state_dir: Path,
        name: str,
        *,
        environ: Mapping[str, str] | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.settings = settings
        self.name = name
        super().__init__(JobFiles(state_dir, name))
        self._commands = Commands(self._files, environ)
        self._engine = engine or Engine(settings.socket, settings.tls_dir)
        self._lookout = Lookout(self._engine, settings, name)
        self._switching = Switching(self._engine, self._lookout, settings.container)
        self._switched: Switched | None = None
        self._measuring = Measuring(self._engine, self._lookout)

    @property
    def mode(self) -> str:
        """`read-only` or `offline`."""
        return self.settings.mode

    @property
    def is_live(self) -> bool:
        """Never: a container can always be switched."""
        return False

    @property
    def can_restore(self) -> bool:
        """Always: a container that was stopped can be started."""
        return True

    @property
    def unmeasured(self) -> str:
        """Why `blob_sizes` had no answer; "" if it had one, or was not asked yet."""
        return self._measuring.unmeasured

    def refusal(self) -> str | None:
        """Why no collection can be run with these settings, as a sentence; None if it can."""
        return refusal(self.settings)

    async def obstacle(self) -> str | None:
        """Why the container cannot be collected at present. Raises CommandFailed."""
        return self.refusal() or await self._lookout.obstacle(await self._lookout.site())

    async def examine(self) -> Examined:
        """Look at the engine and the container."""
        if (reason := self.refusal()) is not None:
            return Examined(False, reason)
        try:
            version = await self._engine.version()
            site = await self._lookout.site()
            reason = await self._lookout.obstacle(site)
        except CommandFailed as error:
            return Examined(False, f"{error.sentence} {error.hint}".strip())
        if reason is not None:
            return Examined(False, reason)
        where = why_unmeasured(site) or f"storage {site.storage.root}"
        return Examined(
            True,
            f"engine {version} answers, the container {self.settings.container} can be switched; "
            f"config {site.config}, {where}",
        )

    def restore_command(self, job: str) -> str:
        """What removes the clones, a collection at work first, and starts the original."""
        docker = ["docker", *client_words(self.settings)]
        clones = [self._owner(job).name(role) for role in (COLLECTOR, SERVER)]
        remove = shlex.join([*docker, "rm", "-f", *clones])
        return f"{remove}; {shlex.join([*docker, 'start', self.settings.container])}"

    def unfinished(self) -> str:
        """Never: what was asked of the engine comes to its end, and is seen there."""
        return ""

    async def switch_off_writes(self, job: str, fence: Fence = unfenced) -> None:
        """Put a read-only clone in the original's place; in offline mode, stop the original.

        Raises CommandFailed, before anything was changed if there is an obstacle.
        """
        site = await self._lookout.site()
        if (reason := await self._lookout.obstacle(site, job)) is not None:
            raise CommandFailed(reason)
        clone = server(site.original, self._owner(job))
        serves = self.mode == "read-only"
        self._switched = await self._switching.off(site, clone, fence, serves=serves)

    async def disturbance(self) -> str:
        """Whether somebody started the original, or the clone ended. Raises CommandFailed."""
        return await self._switching.disturbance(self._switched) if self._switched else ""

    async def switch_on_writes(self, job: str, fence: Fence = unfenced) -> None:
        """Remove the job's clones, which kills what runs in them, and start the original.

        Raises CommandFailed.
        """

        async def save(container: str) -> None:
            # The registry must not stay read-only because the bot's own disk is full.
            with contextlib.suppress(NotKept):
                await self._run(container, job, dry_run=False).save_output()

        await self._switching.on(self._owner(job), save, fence)
        self._switched = None

    async def clear_cache(self, fence: Fence = unfenced) -> None:
        """Run `clear_cache`, if there is one, on the bot's host. Raises CommandFailed."""
        if self.settings.clear_cache:
            await self._commands.run("clear_cache", self.settings.clear_cache, fence)

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

        As `Executor.collect`. Raises GcOutputError if the output does not prove success,
        CommandFailed if it cannot be started, takes too long or must not be run.
        """
        await may_begin(self, abort)
        await self._sweep(fence)
        limit = self.settings.timeout if timeout is None else timeout
        run = await self._begin(job, fence, dry_run=dry_run, delete_untagged=delete_untagged)
        try:
            async with killed_unless_over(run.kill, limit, fence):
                await self._follow(run, on_progress, abort, limit)
                await run.save_output()
                code = await run.exit_code()
        finally:
            await run.detach()
        await fence()
        await self._engine.remove(run.id, "the collection's container")
        return self._files.read_log(job, dry_run=dry_run, exit_code=code)

    async def collecting(self) -> bool:
        """Whether a collection runs: one of ours, or one that somebody runs in the container.

        Raises CommandFailed if the engine cannot tell: nobody may take that for a no.
        """
        clones = await self._lookout.clones()
        if any(map(is_collecting, clones)):
            return True
        places = [str(one["Id"]) for one in clones if is_server(one)]
        for place in [*places, self.settings.container]:
            if any("garbage-collect" in words for words in await self._engine.commands(place)):
                return True
        return False

    async def wait_until_gone(self, timeout: float) -> bool:
        """Wait until no collection runs; False if that is not proven after `timeout` seconds."""
        return await until_gone(self.collecting, timeout, 1.0)

    async def kill_orphan(self, job: str, fence: Fence = unfenced) -> bool:
        """Kill a job's collection; returns whether none runs any more. Raises CommandFailed."""
        for one in await self._lookout.clones(job):
            if is_collecting(one):
                await fence()
                await self._engine.kill(str(one["Id"]))
        return not await self.collecting()

    async def blob_sizes(self, digests: Several[str]) -> dict[str, int] | None:
        """The bytes of those blobs that are there; None, and `unmeasured`, where none can tell."""
        return await self._measuring.blob_sizes(digests)

    async def storage(self) -> Path | None:
        """The volume where the bot can read it as well, proven to be the same; else None.

        In offline mode nothing runs that could prove it when it matters.
        """
        return None if self.mode == "offline" else await self._measuring.on_host()

    async def disk(self) -> tuple[int, int] | None:
        """Bytes used and in all on the disk of the storage; None if that cannot be told."""
        return await self._measuring.disk()

    async def _begin(self, job: str, fence: Fence, *, dry_run: bool, delete_untagged: bool) -> Run:
        site = await self._lookout.site()
        argv = self.settings.argv(site.config, dry_run=dry_run, delete_untagged=delete_untagged)
        clone = collector(
            site.original,
            self._owner(job),
            DRY_RUN if dry_run else COLLECTOR,
            argv,
            network=site.storage.driver != FILESYSTEM,
        )
        self._files.prepared()
        run = self._run(await self._switching.make(clone, fence), job, dry_run=dry_run)
        await fence()
        try:
            await self._engine.start(run.id, "the collection")
        except EngineRefused as error:
            with contextlib.suppress(CommandFailed):
                await self._engine.remove(run.id, "the collection's container")
            raise CommandFailed(
                error.sentence,
                f"`collect` begins with `{argv[0]}`: it must be a program in the registry's image.",
            ) from error
        return run

    async def _follow(
        self,
        run: Run,
        on_progress: ProgressListener | None,
        abort: asyncio.Event | None,
        limit: float,
    ) -> None:
        deadline = time.monotonic() + limit
        while True:
            await run.attach()
            left = max(0.0, deadline - time.monotonic())
            await follow(run, ReportParser(), on_progress, abort, left)
            if not await run.is_running():
                return
            # The connection was lost, not the collection: read again, from its first word.
            await asyncio.sleep(0.2)

    async def _sweep(self, fence: Fence) -> None:
        """Remove dry runs that nobody came back for."""
        for one in await self._lookout.clones():
            age = time.time() - float(one.get("Created") or 0)
            if role(one) == DRY_RUN and not is_up(one) and age > _LEFTOVER_AGE:
                await fence()
                await self._engine.remove(one["Id"], "a clone")

    def _owner(self, job: str) -> Owner:
        return Owner(self.name, self.settings.container, job)

    def _run(self, container: str, job: str, *, dry_run: bool) -> Run:
        output = self._files.output(job, dry_run=dry_run)
        self._files.prepared()
        return Run(self._engine, container, self._files, output, dry_run)
