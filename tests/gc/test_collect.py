"""Real collections of a real registry."""

import asyncio
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from bot.gc.command import CollectionAborted, CommandFailed, GcOutputError
from bot.gc.errors import NotKept
from bot.gc.report import GcProgress
from tests.gc.conftest import Executors, Filled
from tests.support.controlled_registry import ControlledRegistry
from tests.support.real_registry import push_image, push_index

pytestmark = pytest.mark.anyio


async def test_a_dry_run_names_what_a_collection_deletes(
    registry: ControlledRegistry, executors: Executors, filled: Filled
) -> None:
    executor = executors()
    before = registry.blob_digests()
    seen: list[GcProgress] = []
    preview = await executor.collect(
        dry_run=True, delete_untagged=True, job="R1", on_progress=seen.append
    )
    assert registry.blob_digests() == before
    assert preview.eligible_manifests == {("team/app", filled.untagged.digest)}
    assert preview.eligible_blobs == {filled.untagged.digest, *filled.untagged_blobs}
    assert preview.blobs_marked == 3
    assert seen[-1] == GcProgress(1, 3, 3, 1)

    registry.start("read-only")
    sizes = await executor.blob_sizes(preview.eligible_blobs)
    assert set(sizes) == preview.eligible_blobs
    done = await executor.collect(dry_run=False, delete_untagged=True, job="R1")
    assert done == preview
    assert registry.blob_digests() == filled.kept_blobs == before - done.eligible_blobs
    assert set(await executor.blob_sizes(before)) == filled.kept_blobs
    assert await executor.blob_sizes(done.eligible_blobs) == {}


async def test_a_plain_collection_leaves_untagged_manifests(
    executors: Executors, filled: Filled
) -> None:
    report = await executors().collect(dry_run=False, delete_untagged=False, job="R1")
    assert report.eligible_blobs == frozenset()
    assert report.eligible_manifests == frozenset()
    assert report.blobs_marked == 6


async def test_the_children_of_an_index_are_seen_in_the_dry_run(
    registry: ControlledRegistry, executors: Executors
) -> None:
    child = await push_image(registry.url, "multi", "")
    await push_index(registry.url, "multi", "v1", [child])
    report = await executors().collect(dry_run=True, delete_untagged=True, job="R1")
    assert report.manifest_digests == {child.digest}  # version 2 would break the index


async def test_sizes_are_what_lies_on_disk(
    registry: ControlledRegistry, executors: Executors, filled: Filled
) -> None:
    executor = executors()
    (layer,) = filled.kept.layer_digests
    assert await executor.blob_sizes([layer, "sha256:" + "0" * 64, "../../etc/passwd"]) == {
        layer: 1040
    }
    used, total = await executor.disk() or (0, 0)
    assert 0 < used <= total
    without = executors(storage_root=None)
    assert (await without.blob_sizes([layer]), await without.disk()) == (None, None)
    assert "storage_root" in without.unmeasured
    wrong = executors(storage_root=registry.state)
    with pytest.raises(CommandFailed, match="does not hold a registry's storage"):
        await wrong.blob_sizes([layer])


async def test_storage_that_nothing_was_pushed_to(executors: Executors) -> None:
    with pytest.raises(GcOutputError, match="storage is empty"):
        await executors().collect(dry_run=True, delete_untagged=False, job="R1")


async def test_a_missing_config(executors: Executors) -> None:
    with pytest.raises(
        GcOutputError, match="could not read the registry's configuration"
    ) as caught:
        await executors(config="/nowhere/config.yml").collect(
            dry_run=True, delete_untagged=False, job="R1"
        )
    assert "`config`" in caught.value.hint


async def test_an_unknown_flag_does_nothing_and_is_no_success(
    executors: Executors, registry: ControlledRegistry, filled: Filled
) -> None:
    executor = executors(collect=("docker-registry", "garbage-collect", "--quietly"))
    before = registry.blob_digests()
    with pytest.raises(GcOutputError, match=r"usage and did nothing.*--quietly"):
        await executor.collect(dry_run=False, delete_untagged=True, job="R1")
    assert registry.blob_digests() == before


async def test_refused_settings_start_nothing(executors: Executors, state_dir: Path) -> None:
    executor = executors(start=())
    with pytest.raises(CommandFailed, match="No `start`"):
        await executor.collect(dry_run=True, delete_untagged=False, job="R1")
    assert not executor.log_path("R1", dry_run=True).exists()


async def test_a_program_that_is_not_there(executors: Executors) -> None:
    executor = executors(collect=("/nowhere/registry", "garbage-collect"))
    with pytest.raises(CommandFailed, match="could not be started: No such file"):
        await executor.collect(dry_run=True, delete_untagged=False, job="R1")
    assert not await executor.collecting()


async def test_the_log_can_be_read_again_and_forgotten(
    executors: Executors, filled: Filled, state_dir: Path
) -> None:
    report = await executors().collect(dry_run=False, delete_untagged=True, job="R1")
    fresh = executors()
    assert fresh.read_log("R1") == report
    assert report.summary in fresh.log_path("R1").read_text()
    assert "Deleting blob" in fresh.error_log_path("R1").read_text()
    with pytest.raises(GcOutputError, match="never began"):
        fresh.read_log("R1", dry_run=True)
    fresh.forget("R1")
    with pytest.raises(GcOutputError, match="never began"):
        fresh.read_log("R1")
    assert {path.name for path in state_dir.iterdir()} == {"corp.lock", "corp.turn"}


async def test_old_files_of_jobs_are_swept_and_nothing_else(
    executors: Executors, filled: Filled, state_dir: Path
) -> None:
    executor = executors()
    for job in ("R1", "R2"):
        await executor.collect(dry_run=True, delete_untagged=False, job=job)
    executor.write_note("R1", {})
    others = {"corp.start.log", "corp.switch.json", "corp.eu.R1.out", "other.R1.out"}
    for name in others:
        (state_dir / name).touch()
    for path in state_dir.iterdir():
        if not path.name.startswith("corp.R2"):
            os.utime(path, (0, 0))
    executor.sweep()
    left = {path.name for path in state_dir.iterdir()} - {"corp.lock", "corp.turn"}
    assert left == {"corp.R2.dry-run.out", "corp.R2.dry-run.err", "corp.R2.pid", *others}


async def test_a_state_directory_that_cannot_be_written_to(
    executors: Executors, filled: Filled, state_dir: Path
) -> None:
    (state_dir / "corp.R1.dry-run.out").mkdir(parents=True)  # stands for a wrong owner
    with pytest.raises(NotKept, match="cannot keep the output") as caught:
        await executors().collect(dry_run=True, delete_untagged=False, job="R1")
    assert caught.value.hint == "Let the bot's user write there, then collect again."


async def test_the_state_directory_is_private(
    executors: Executors, filled: Filled, state_dir: Path
) -> None:
    await executors().collect(dry_run=True, delete_untagged=False, job="R1")
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a b"])
async def test_names_stay_inside_the_state_directory(executors: Executors, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        executors().log_path(name)


async def test_only_one_collection_at_a_time(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    slow = executors(collect=registry.slow_collect(gate))
    first = asyncio.create_task(slow.collect(dry_run=False, delete_untagged=True, job="R1"))
    await holding(gate)
    assert await executors().collecting()
    with pytest.raises(CommandFailed, match="already running"):
        await executors().collect(dry_run=True, delete_untagged=False, job="R2")
    gate.touch()
    assert (await first).eligible_blobs
    assert not await executors().collecting()


async def test_progress_is_told_while_the_collection_holds(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    marked = asyncio.Event()

    def listen(progress: GcProgress) -> None:
        if progress.marked:
            marked.set()

    executor = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(
        executor.collect(dry_run=False, delete_untagged=True, job="R1", on_progress=listen)
    )
    await asyncio.wait_for(marked.wait(), 10)
    assert not task.done()
    gate.touch()
    await task


async def test_abort_kills_the_collection_and_proves_it_gone(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    gate, abort, before = tmp_path / "gate", asyncio.Event(), registry.blob_digests()
    executor = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(
        executor.collect(dry_run=False, delete_untagged=True, job="R1", abort=abort)
    )
    await holding(gate)
    started = time.monotonic()
    abort.set()
    with pytest.raises(CollectionAborted) as caught:
        await task
    assert caught.value.gone
    assert time.monotonic() - started < 2.5
    assert not await executor.collecting()
    gate.touch()
    assert registry.blob_digests() == before
    with pytest.raises(GcOutputError):
        executor.read_log("R1")


async def test_an_abort_before_the_beginning_starts_nothing(executors: Executors) -> None:
    abort = asyncio.Event()
    abort.set()
    executor = executors()
    with pytest.raises(CollectionAborted):
        await executor.collect(dry_run=False, delete_untagged=False, job="R1", abort=abort)
    assert not executor.log_path("R1").exists()


async def test_a_timeout_kills_even_what_ignores_a_polite_signal(
    executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.gc.process._TERM_GRACE", 0.2)
    script = "trap '' TERM; sleep 60 & echo {config}; wait; wait"
    executor = executors(collect=("sh", "-c", script))
    with pytest.raises(CommandFailed, match=r"longer than 0\.3 s and was killed"):
        await executor.collect(dry_run=False, delete_untagged=False, job="R1", timeout=0.3)
    assert not await executor.collecting()


async def test_a_listener_that_fails_leaves_no_collection_behind(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    def listen(progress: GcProgress) -> None:
        raise LookupError("the listener's own bug")

    executor = executors(collect=registry.slow_collect(tmp_path / "gate"))
    with pytest.raises(LookupError):
        await executor.collect(dry_run=False, delete_untagged=False, job="R1", on_progress=listen)
    assert not await executor.collecting()


async def test_a_command_that_goes_to_the_background_is_waited_for(
    executors: Executors, registry: ControlledRegistry, filled: Filled
) -> None:
    script = "{ sleep 0.3; docker-registry garbage-collect {config}; } & echo team/app"
    executor = executors(collect=("sh", "-c", script))
    report = await executor.collect(dry_run=True, delete_untagged=True, job="R1")
    assert report.manifest_digests == {filled.untagged.digest}


async def test_a_dry_run_that_deletes_is_stopped(executors: Executors, tmp_path: Path) -> None:
    script = tmp_path / "gc.sh"
    script.write_text("#!/bin/sh\necho 'level=info msg=\"Deleting blob: /x\"' >&2\nsleep 60\n")
    script.chmod(0o755)
    executor = executors(collect=(str(script),))
    with pytest.raises(CommandFailed, match="deletes although it was asked for a dry run"):
        await executor.collect(dry_run=True, delete_untagged=False, job="R1")
    assert not await executor.collecting()


async def test_a_command_that_drops_the_lock_is_stopped(executors: Executors) -> None:
    drop = "import os, time; os.closerange(3, 256); time.sleep(60)"
    executor = executors(collect=(sys.executable, "-c", drop))
    with pytest.raises(CommandFailed, match="closed the bot's lock file"):
        await executor.collect(dry_run=False, delete_untagged=False, job="R1")
    watched = executors(collect=(sys.executable, "-c", drop), running=("false",))
    with pytest.raises(CommandFailed, match="longer than"):
        await watched.collect(dry_run=False, delete_untagged=False, job="R1", timeout=1.5)


async def test_the_collector_gets_no_key_to_the_chat(
    executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    executor = executors(collect=("env",), config=None)
    with pytest.raises(GcOutputError):
        await executor.collect(dry_run=False, delete_untagged=False, job="R1")
    printed = executor.log_path("R1").read_text()
    assert "PATH=" in printed
    assert "SLACK" not in printed


SSH = """\
#!/bin/sh
# As the real one: no inherited descriptors, the words joined and given to a shell.
host="$1"; shift
for fd in $(ls /proc/$$/fd); do [ "$fd" -gt 2 ] && [ "$fd" -lt 10 ] && eval "exec $fd>&-"; done
exec sh -c "$*"
"""


async def test_a_path_with_blanks_survives_ssh(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    config = tmp_path / "my $config (1).yml"
    config.write_text(registry.config_path.read_text())
    executor = executors(
        collect=(str(ssh), "host", "docker-registry", "garbage-collect"),
        config=str(config),
        running=(str(ssh), "host", "false"),
    )
    report = await executor.collect(dry_run=False, delete_untagged=True, job="R1")
    assert report.manifest_digests == {filled.untagged.digest}


async def holding(gate: Path) -> None:
    """Until the slow collection holds at its gate."""
    marker = Path(f"{gate}.holding")
    deadline = time.monotonic() + 10
    while not marker.exists():
        assert time.monotonic() < deadline, "the collection never held"
        await asyncio.sleep(0.01)
