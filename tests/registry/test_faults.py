"""Every call of the client, before a real registry that misbehaves in every way we know.

What comes is true, or it is an error of ours: nothing is made up, nothing hangs, and the login
goes nowhere else.
"""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from bot.registry.auth import Credentials
from bot.registry.client import BlobState, RegistryClient
from bot.registry.errors import (
    DeleteDisabled,
    NotFound,
    ProtocolError,
    ReadOnly,
    RegistryError,
    Unsupported,
)
from bot.registry.manifest import Image, RawManifest
from tests.support.images import Pushed, push_image
from tests.support.proxy import Proxy
from tests.support.real_registry import PASSWORD, RealRegistry
from tests.support.troubles import TROUBLES, Trouble

pytestmark = pytest.mark.anyio

LOGIN = ("robot", PASSWORD)
REPO, PUSHED_TO = "team/api", "team/web"
Call = Callable[[RegistryClient], Awaitable[Any]]


@dataclass(frozen=True)
class Shelf:
    """What the registry holds, and the calls that ask for it."""

    url: str
    open_url: str
    pushed: Pushed

    @property
    def raw(self) -> RawManifest:
        return RawManifest.of(self.pushed.media_type, self.pushed.body)

    @property
    def image(self) -> Image:
        image = self.raw.parse()
        assert isinstance(image, Image)
        return image

    def calls(self, patience: float = 20.0) -> dict[str, Call]:
        image, digest = self.image, self.pushed.digest
        small, (large, pulled) = image.config, image.layers
        return {
            "ping": lambda c: c.ping(),
            "repositories": lambda c: c.repositories(),
            "tags": lambda c: c.tags(REPO),
            "tags of nothing": lambda c: c.tags("team/none"),
            "head": lambda c: _digest(c, "1"),
            "head by digest": lambda c: _digest(c, digest),
            "head of nothing": lambda c: c.head(REPO, "none"),
            "manifest": lambda c: c.manifest(REPO, "1"),
            "manifest by digest": lambda c: c.manifest(REPO, digest),
            "config": lambda c: c.config(REPO, image),
            "check of a small blob": lambda c: c.check_blob(REPO, small),
            "check of a large blob": lambda c: c.check_blob(REPO, large),
            "pull of a blob": lambda c: c.pull_blob(REPO, pulled, deadline=patience),
            "look at a blob": lambda c: c.examine_blob(REPO, large),
            "has blob": lambda c: c.has_blob(REPO, large.digest),
            "signatures": lambda c: c.signatures(REPO, digest),
            "probe of deletes": lambda c: c.probe_delete(REPO),
            "probe of uploads": lambda c: c.probe_upload(REPO),
            "delete of a tag": lambda c: c.delete_tag(REPO, "1"),
            "delete of nothing": lambda c: c.delete_manifest(REPO, "sha256:" + 64 * "0"),
            # Elsewhere: a registry that stores a manifest cannot read it at that moment.
            "put": lambda c: c.put_manifest(PUSHED_TO, "1", self.raw),
        }

    def client(self, url: str, deadline: float) -> RegistryClient:
        login = Credentials(LOGIN[0], SecretStr(LOGIN[1]))
        return RegistryClient(url, credentials=login, deadline=deadline, concurrency=32)


async def _digest(client: RegistryClient, reference: str) -> tuple[str, int]:
    """All that is asked of HEAD; the type that it names is believed by nobody."""
    found = await client.head(REPO, reference)
    return found.digest, found.size


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    root = tmp_path_factory.mktemp("registry")
    other = tmp_path_factory.mktemp("open")
    (root / "docker").mkdir()
    # The same storage, without a login: what blob stores elsewhere are.
    (other / "docker").symlink_to(root / "docker")
    with RealRegistry(root, htpasswd=LOGIN) as closed, RealRegistry(other) as open_:
        layers = [b"x" * 200_000, b"y" * 200_000]
        for repository in (PUSHED_TO, REPO):
            pushed = asyncio.run(push_image(closed.url, repository, "1", layers=layers, auth=LOGIN))
        yield Shelf(closed.url, open_.url, pushed)


@pytest.fixture
async def proxy(shelf: Shelf) -> AsyncIterator[Proxy]:
    async with Proxy.open(shelf.url) as proxy:
        yield proxy


@pytest.fixture
async def elsewhere(shelf: Shelf) -> AsyncIterator[Proxy]:
    """Another server. It gets no change, and no login except where tokens are asked for."""
    async with Proxy.open(shelf.open_url) as proxy:
        yield proxy
        for line, login in zip(proxy.seen, proxy.authorizations, strict=True):
            assert line.startswith(("GET ", "HEAD ")), line
            assert login is None or line == "GET /token", line


async def _outcome(call: Call, client: RegistryClient) -> Any:
    """What a call gives; an error that says something by its type, as its words may differ."""
    try:
        async with asyncio.timeout(30):
            return await call(client)
    except RegistryError as error:
        return type(error) if error.sentence else error


@pytest.fixture(scope="module")
def truth(shelf: Shelf) -> dict[str, Any]:
    """What every call gives while all is well."""

    async def ask() -> dict[str, Any]:
        async with shelf.client(shelf.url, 20) as client:
            return {name: await _outcome(call, client) for name, call in shelf.calls().items()}

    return asyncio.run(ask())


# These say something of the registry, and so must be true.
STATEMENTS = (NotFound, ReadOnly, DeleteDisabled, Unsupported)
# Nobody can tell, and a plan that believes it is refused: see operations/test_faults_reading.py.
UNSEEN = {("wrong digest", "head")}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.name)
async def test_nothing_is_made_up(
    shelf: Shelf, truth: dict[str, Any], proxy: Proxy, elsewhere: Proxy, trouble: Trouble
) -> None:
    trouble.always(proxy, " /v2/", elsewhere.url)
    calls = shelf.calls(trouble.patience)
    async with shelf.client(proxy.url, trouble.patience) as client:
        told = await asyncio.gather(*(_outcome(call, client) for call in calls.values()))
    wrong = {}
    for name, outcome in zip(calls, told, strict=True):
        failed = isinstance(outcome, type) and not issubclass(outcome, STATEMENTS)
        # What is wrong with a blob that does not come can only be guessed.
        failed |= isinstance(outcome, BlobState)
        if outcome != truth[name] and not failed and (trouble.name, name) not in UNSEEN:
            wrong[name] = outcome
    assert wrong == {}


@pytest.mark.parametrize(
    "trouble", [trouble for trouble in TROUBLES if trouble.passes], ids=lambda t: t.name
)
async def test_one_bad_answer_changes_nothing(
    shelf: Shelf, truth: dict[str, Any], proxy: Proxy, elsewhere: Proxy, trouble: Trouble
) -> None:
    # What may have changed something is not asked again: whoever wants it done looks first.
    once = {"probe of uploads", "put", "delete of nothing", "delete of a tag"}
    calls = {name: call for name, call in shelf.calls().items() if name not in once}
    async with shelf.client(proxy.url, 30.0) as client:
        await client.ping()
        proxy.each = True
        trouble.once(proxy, " /v2/", elsewhere.url)
        told = await asyncio.gather(*(_outcome(call, client) for call in calls.values()))
    assert dict(zip(calls, told, strict=True)) == {name: truth[name] for name in calls}


@pytest.mark.parametrize("name", ["endless", "gzip bomb"])
async def test_no_answer_fills_the_memory(
    shelf: Shelf, proxy: Proxy, elsewhere: Proxy, name: str
) -> None:
    trouble = next(trouble for trouble in TROUBLES if trouble.name == name)
    trouble.always(proxy, " /v2/", elsewhere.url)
    async with shelf.client(proxy.url, 60.0) as client:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError):
                await client.repositories()
            assert tracemalloc.get_traced_memory()[1] < 100 << 20
        finally:
            tracemalloc.stop()
