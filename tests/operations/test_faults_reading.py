"""Whatever a registry answers, everybody who reads gets what is true, or is told that it fails.

On a real registry behind a proxy that misbehaves.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.operations import browse, canary, doctor
from bot.operations.errors import Refusal
from bot.registry.auth import Credentials
from bot.registry.errors import RegistryError
from bot.registry.reference import parse_reference
from bot.rules.approval import Request
from bot.rules.plan import DeletionPlan
from bot.rules.preview import PreviewState, Result, Spec
from tests.support.images import push_image, push_index
from tests.support.proxy import Proxy
from tests.support.real_registry import PASSWORD, RealRegistry
from tests.support.rig import Rig
from tests.support.troubles import TROUBLES, Trouble

pytestmark = pytest.mark.anyio

# Shown as the registry announces it; the plans of a delete and of a purge are refused.
SEEN = {("wrong digest", name) for name in ("tags", "inspect", "preview")}
Read = Callable[[Rig], Awaitable[Any]]
LOGIN = ("robot", PASSWORD)


async def _preview(rig: Rig) -> Any:
    found = await rig.preview("team/api", Spec(()))
    if found.state is PreviewState.FAILED:
        raise Refusal(found.result.note, "")
    return found.result


async def _canary(rig: Rig) -> Any:
    found = await canary.choose(rig.ctx, rig.registry, random.Random(1))
    return found or Refusal("Nothing here can be pulled.", "")


READS: dict[str, Read] = {
    "tags": lambda rig: browse.tags(rig.ctx, rig.registry, "team/api"),
    "inspect": lambda rig: browse.inspect(rig.ctx, rig.registry, parse_reference("team/api:multi")),
    "doctor": lambda rig: doctor.doctor(rig.ctx, rig.registry, "team/api"),
    "plan of a delete": lambda rig: rig.delete("team/api:1"),
    "plan of a purge": lambda rig: rig.purge_("team/api:1"),
    "preview": _preview,
    "canary": _canary,
}
# What the client itself lives through is tried with each of its calls.
LASTING = [trouble for trouble in TROUBLES if not trouble.passes]


def facts(result: Any) -> Any:
    """What of an answer must be true if there is one; dates may be missing in it."""
    match result:
        case browse.Tags():
            return {(row.tag, row.digest, row.sharing) for row in result.rows}, result.total
        case doctor.Report() if result.findings or result.refused:
            return Refusal("Something is wrong.", "")
        case doctor.Report():
            return result.tags, result.manifests, result.blobs
        case browse.Inspection():
            found = {(p.digest, p.missing) for p in result.platforms}
            return result.digest, result.media_type, found, result.tags, result.parents
        case Request():
            plan = DeletionPlan.from_json(result.plan)
            return plan.fingerprint, plan.tags, plan.method
        case Result():
            return [(row.tag, row.digest) for row in result.goes], result.stays
    return result


class Shop:
    """A registry that wants a login, a proxy before it, and another server."""

    def __init__(self, registry: RealRegistry, proxy: Proxy, elsewhere: Proxy) -> None:
        self.registry = registry
        self.proxy = proxy
        self.elsewhere = elsewhere


def _rig(directory: Path, url: str, deadline: float) -> contextlib.AbstractAsyncContextManager[Rig]:
    login = Credentials(LOGIN[0], SecretStr(LOGIN[1]))
    return Rig.open(directory, url, deadline=deadline, credentials=login)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    root = tmp_path_factory.mktemp("registry")
    with RealRegistry(root, htpasswd=LOGIN) as running:
        asyncio.run(_fill(running.url))
        yield running


async def _fill(url: str) -> None:
    login = {"auth": LOGIN}
    images = [
        await push_image(url, "team/api", "", platform=("linux", arch), **login)
        for arch in ("amd64", "arm64")
    ]
    await push_index(url, "team/api", "multi", images, **login)
    await push_image(url, "team/api", "1", layers=[b"one" * 99], **login)
    await push_image(url, "team/api", "2", layers=[b"one" * 99], **login)
    await push_image(url, "team/web", "old", layers=[b"x" * 200_000], **login)


@pytest.fixture
async def shop(registry: RealRegistry) -> AsyncIterator[Shop]:
    async with Proxy.open(registry.url) as proxy, Proxy.open(registry.url) as elsewhere:
        yield Shop(registry, proxy, elsewhere)
        logins = zip(elsewhere.seen, elsewhere.authorizations, strict=True)
        assert not [line for line, login in logins if login and line != "GET /token"]
        assert {line.partition(" ")[0] for line in elsewhere.seen} <= {"GET", "HEAD"}


@pytest.fixture(scope="module")
def truth(registry: RealRegistry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What everybody is told while all is well."""

    async def ask() -> dict[str, Any]:
        directory = tmp_path_factory.mktemp("truth")
        async with _rig(directory, registry.url, 20.0) as rig:
            return {name: facts(await read(rig)) for name, read in READS.items()}

    return asyncio.run(ask())


@pytest.mark.parametrize("trouble", LASTING, ids=lambda t: t.name)
async def test_no_answer_is_made_up(
    shop: Shop, truth: dict[str, Any], trouble: Trouble, tmp_path: Path
) -> None:
    told: dict[str, str] = {}

    async def one(rig: Rig, name: str, read: Read) -> None:
        try:
            async with asyncio.timeout(30):
                found = facts(await read(rig))
        except (RegistryError, Refusal) as error:
            told[name] = error.sentence or "WRONG: no words"
        else:
            honest = found == truth[name] or isinstance(found, Refusal)
            told[name] = "" if honest or (trouble.name, name) in SEEN else f"WRONG {found}"

    # The rest is seen to by the client, which is tried with each of its calls.
    trouble.always(shop.proxy, "/manifests/", shop.elsewhere.url)
    async with _rig(tmp_path, shop.proxy.url, trouble.patience) as rig:
        await asyncio.gather(*(one(rig, name, read) for name, read in READS.items()))
    assert [f"{name}: {words}" for name, words in told.items() if "WRONG" in words] == []
