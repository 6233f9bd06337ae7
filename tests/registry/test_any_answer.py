"""Whatever answers at a registry's address, with whatever bytes: only our errors come of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.registry import transport
from bot.registry.client import RegistryClient
from bot.registry.errors import RegistryError
from bot.registry.failures import retry_after
from bot.registry.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Image,
    InvalidManifest,
    RawManifest,
    is_untag_placeholder,
    parse_config,
    untag_placeholder,
)
from bot.registry.reference import Digest
from tests.support import anything
from tests.support.anything import BODY, VALUES, Anything, answers, bodies
from tests.support.examples import JSON, examples, shaped

DIGEST = Digest(anything.DIGEST)
BLOB = Descriptor("application/octet-stream", DIGEST, len(BODY))
LARGE = Descriptor("application/octet-stream", DIGEST, 1 << 20)
IMAGE = Image(DIGEST, OCI_MANIFEST, BLOB, (LARGE,))

CALLS: dict[str, Callable[[RegistryClient], Awaitable[Any]]] = {
    "ping": lambda c: c.ping(),
    "repositories": lambda c: c.repositories(),
    "tags": lambda c: c.tags("a"),
    "head": lambda c: c.head("a", "1"),
    "manifest": lambda c: c.manifest("a", "1"),
    "manifest by digest": lambda c: c.manifest("a", DIGEST),
    "config": lambda c: c.config("a", IMAGE),
    "check": lambda c: c.check_blob("a", LARGE),
    "pull": lambda c: c.pull_blob("a", BLOB, deadline=2.0),
    "examine": lambda c: c.examine_blob("a", LARGE),
    "has": lambda c: c.has_blob("a", DIGEST),
    "signatures": lambda c: c.signatures("a", DIGEST),
    "probe deletes": lambda c: c.probe_delete("a"),
    "probe uploads": lambda c: c.probe_upload("a"),
    "put": lambda c: c.put_manifest("a", "1", RawManifest.of(OCI_INDEX, BODY)),
    "delete": lambda c: c.delete_manifest("a", DIGEST),
    "delete tag": lambda c: c.delete_tag("a", "1"),
}

BODIES = bodies(
    shaped("errors", "code", "message", "detail") | shaped("repositories", "tags", "name")
)


def test_only_our_errors_come_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_FIRST_PAUSE", 0.0)
    server = Anything()

    async def ask(call: str) -> Exception | None:
        try:
            async with asyncio.timeout(30):
                await CALLS[call](client)
        except (RegistryError, InvalidManifest) as error:
            return error
        return None

    async def close() -> None:
        listening.close()
        await client.aclose()

    with asyncio.Runner() as runner:
        listening = runner.run(asyncio.start_server(server.talk, "127.0.0.1", 0))
        port = listening.sockets[0].getsockname()[1]
        client = RegistryClient(f"http://127.0.0.1:{port}", deadline=2.0)

        @examples(200)
        @given(
            st.sampled_from(sorted(CALLS)),
            st.lists(answers(BODIES) | st.binary(), min_size=1, max_size=3),
        )
        def test(call: str, given_: list[bytes]) -> None:
            server.answers = given_
            client._transport._auth._tokens.clear()
            error = runner.run(ask(call))
            if isinstance(error, RegistryError):
                assert error.sentence.isprintable()
                assert error.sentence
            else:
                assert error is None or call == "config"

        try:
            test()
        finally:
            runner.run(close())


MANIFESTS = shaped(
    *("schemaVersion", "mediaType", "manifests", "config", "layers", "subject", "digest", "size"),
    *("platform", "os", "architecture", "variant"),
)
DESCRIPTORS = st.fixed_dictionaries(
    {
        "mediaType": st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST]) | JSON,
        "digest": st.just(str(DIGEST)) | JSON,
        "size": st.integers(-1, 1 << 80) | JSON,
    },
    optional={"platform": MANIFESTS, "urls": JSON},
)
WHOLE = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.just(2) | JSON,
        "manifests": st.lists(DESCRIPTORS | JSON, max_size=3) | JSON,
        "config": DESCRIPTORS | JSON,
        "layers": st.lists(DESCRIPTORS | JSON, max_size=3) | JSON,
        "subject": DESCRIPTORS | JSON,
    },
)
RAW = (MANIFESTS | WHOLE).map(lambda value: json.dumps(value).encode()) | BODIES
TYPES = st.sampled_from([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "x/y"]) | st.text()


@examples(150)
@given(TYPES, RAW)
def test_a_manifest_is_read_or_refused(media_type: str, body: bytes) -> None:
    raw = RawManifest.of(media_type, body)
    assert is_untag_placeholder(raw) in {True, False}
    try:
        manifest = raw.parse()
    except InvalidManifest:
        return
    if isinstance(manifest, Image):
        assert manifest.size >= 0
        assert manifest.blobs is not None
    placeholder = untag_placeholder(raw, None, "unique")
    assert placeholder.parse()
    assert is_untag_placeholder(placeholder)


CONFIGS = shaped("config", "Labels", "created", "os", "architecture", "variant")
DATES = st.text(max_size=40) | st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59", "0001-01-01T00:00:00+23:59"]
)


@examples(150)
@given(
    (CONFIGS | st.fixed_dictionaries({"created": DATES})).map(lambda v: json.dumps(v).encode())
    | BODIES
)
def test_a_config_is_read_or_refused(body: bytes) -> None:
    try:
        config = parse_config(body)
    except InvalidManifest:
        return
    assert config.created is None or config.created.isoformat()
    assert str(config.platform)


@examples(100)
@given(VALUES | st.text(max_size=30))
def test_whoever_asks_us_to_wait_is_understood_or_not(value: str) -> None:
    headers = {"Retry-After": value.encode("utf-8", "surrogatepass")}
    seconds = retry_after(httpx.Headers(headers))
    assert seconds is None or seconds >= 0
