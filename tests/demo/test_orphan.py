"""A collection that would outlive the bot does not outlive the playground."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.demo import configuration
from bot.demo.playing import _end_collection
from bot.gc.command import CommandExecutor, CommandSettings

pytestmark = pytest.mark.anyio


async def test_it_is_ended(tmp_path: Path) -> None:
    gc = CommandSettings(
        collect=("sh", "-c", "sleep 60 # {config}"),
        config="config.yml",
        unsafe_allow_live_gc=True,
    )
    executor = CommandExecutor(gc, tmp_path, configuration.NAME)
    begun = asyncio.create_task(
        executor.collect(
            dry_run=False, delete_untagged=False, job="R1", on_progress=None, abort=None
        )
    )
    while not await executor.collecting():
        assert not begun.done(), begun.result()
        await asyncio.sleep(0.01)
    begun.cancel()
    await asyncio.wait([begun])
    assert await executor.collecting(), "nothing is left that could be ended"
    settings: Any = SimpleNamespace(
        registries=[SimpleNamespace(gc=gc)], state_dir=tmp_path, environ={"PATH": "/usr/bin:/bin"}
    )
    await _end_collection(settings)
    assert not await executor.collecting()
