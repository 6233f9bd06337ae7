"""A real registry that the bot switches, and executors that leave nothing behind."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.gc import process
from bot.gc.command import CommandExecutor
from tests.support.controlled_registry import ControlledRegistry
from tests.support.real_registry import Pushed, push_image

Executors = Callable[..., CommandExecutor]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ControlledRegistry]:
    one = ControlledRegistry(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def executors(
    registry: ControlledRegistry, state_dir: Path, anyio_backend: str
) -> AsyncIterator[Executors]:
    """Makes executors on one state directory; kills what they leave running."""

    def make(**changes: Any) -> CommandExecutor:
        return CommandExecutor(registry.settings(**changes), state_dir, "corp")

    yield make
    await process.end(process.LockFile(state_dir / "corp.lock"), None)
    process.reap()


@dataclass(frozen=True)
class Filled:
    """What the registry holds: a kept image, and one that nothing tags any more."""

    kept: Pushed
    untagged: Pushed

    @property
    def untagged_blobs(self) -> set[str]:
        return {self.untagged.config_digest, *self.untagged.layer_digests}

    @property
    def kept_blobs(self) -> set[str]:
        return {self.kept.digest, self.kept.config_digest, *self.kept.layer_digests}


@pytest.fixture
async def filled(registry: ControlledRegistry, anyio_backend: str) -> Filled:
    """The untagged image lost its tag to the kept one; its manifest is still there."""
    untagged = await push_image(registry.url, "team/app", "v1", layers=[b"the old layer" * 50])
    kept = await push_image(registry.url, "team/app", "v1", layers=[b"the new layer" * 80])
    return Filled(kept, untagged)
