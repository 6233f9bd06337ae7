"""The client on version 3, whose dialect differs."""

import secrets

import pytest

from bot.registry.client import DeleteSupport, RegistryClient, UploadSupport
from bot.registry.errors import DeleteDisabled, NotFound, ReadOnly
from bot.registry.manifest import Image
from tests.support.fake_v3 import FakeV3
from tests.support.images import pull, push_image, push_index

pytestmark = pytest.mark.anyio


async def test_probes(fake: FakeV3, v3: RegistryClient) -> None:
    await v3.ping()
    assert await v3.probe_delete("no/such") is DeleteSupport.TAG
    assert await v3.probe_upload("no/such") is UploadSupport.ACCEPTED
    assert fake.uploads == {}
    assert await v3.repositories() == []
    fake.delete = False
    assert await v3.probe_delete("no/such") is DeleteSupport.OFF
    fake.read_only = True
    assert await v3.probe_delete("no/such") is DeleteSupport.READ_ONLY
    assert await v3.probe_upload("no/such") is UploadSupport.READ_ONLY


async def test_a_tag_goes_and_its_sibling_stays(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "team/api", "goes", layers=[b"x"])
    await push_image(fake.url, "team/api", "stays", layers=[b"x"])
    await v3.delete_tag("team/api", "goes")
    assert await v3.tags("team/api") == ["stays"]
    assert (await v3.head("team/api", pushed.digest)).digest == pushed.digest
    await pull(fake.url, "team/api", "stays")
    with pytest.raises(NotFound):
        await v3.delete_tag("team/api", "goes")


async def test_a_digest_takes_its_tags_along(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1", layers=[b"x"])
    await push_image(fake.url, "a", "2", layers=[b"x"])
    await v3.delete_manifest("a", pushed.digest)
    assert await v3.tags("a") == []
    assert await v3.repositories() == ["a"]


async def test_refused_changes(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    raw = await v3.manifest("a", "1")
    fake.delete = False
    with pytest.raises(DeleteDisabled):
        await v3.delete_tag("a", "1")
    with pytest.raises(DeleteDisabled):
        await v3.delete_manifest("a", pushed.digest)
    fake.read_only = True
    with pytest.raises(ReadOnly):
        await v3.put_manifest("a", "2", raw)
    with pytest.raises(ReadOnly):
        await v3.delete_tag("a", "1")


async def test_many_tags_come_in_pages(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "t0", layers=[b"x"])
    tags = fake.repositories["a"].tags
    tags.update({f"t{n}": pushed.digest for n in range(2500)})
    fake.log.clear()
    assert await v3.tags("a") == [f"t{n}" for n in range(2500)]
    assert len(fake.log) == 3


async def test_many_repositories_come_in_pages(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a/b", "1")
    one = fake.repositories.pop("a/b")
    names = sorted(f"team{n % 7}/r{n}" for n in range(2345))
    fake.repositories.update(dict.fromkeys(names, one))
    assert await v3.repositories() == names


async def test_the_catalogs_ceiling_may_be_lower(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    body = b'{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"too many"}]}'
    fake.fail(r"_catalog\?n=1000", 400, body=body)
    assert await v3.repositories() == ["a"]
    assert fake.log[-1] == "GET /v2/_catalog"


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_each_kind_resolves_to_its_own_digest(
    fake: FakeV3, v3: RegistryClient, media: str
) -> None:
    image = await push_image(fake.url, "a", "image", media=media)
    index = await push_index(fake.url, "a", "index", [image], media)
    for tag, pushed in (("image", image), ("index", index)):
        head = await v3.head("a", tag)
        assert (head.digest, head.size) == (pushed.digest, len(pushed.body))
        assert (await v3.manifest("a", tag)).body == pushed.body


async def test_undo(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    raw = await v3.manifest("a", "1")
    await v3.delete_manifest("a", raw.digest)
    await v3.put_manifest("a", "1", raw)
    assert await v3.manifest("a", "1") == raw
    fake.repositories["a"].blobs.clear()
    await v3.delete_manifest("a", raw.digest)
    with pytest.raises(NotFound, match="no longer"):
        await v3.put_manifest("a", "1", raw)


async def test_large_blobs_are_read_at_their_end(fake: FakeV3, v3: RegistryClient) -> None:
    layer = secrets.token_bytes(400_000)
    await push_image(fake.url, "a", "1", layers=[layer])
    image = (await v3.manifest("a", "1")).parse()
    assert isinstance(image, Image)
    await v3.check_blob("a", image.layers[0])
    fake.blobs.clear()
    with pytest.raises(NotFound):
        await v3.check_blob("a", image.layers[0])
