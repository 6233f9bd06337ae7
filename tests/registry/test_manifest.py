"""Manifests and configs, as real tools write them and as nobody should."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.registry.manifest import (
    ACCEPT,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Image,
    Index,
    InvalidManifest,
    Platform,
    RawManifest,
    parse_config,
    untag_placeholder,
)
from tests.support.images import digest_of


def descriptor(name: str, size: int = 10, **more: Any) -> dict[str, Any]:
    digest = digest_of(name.encode())
    return {"mediaType": "application/x", "digest": digest, "size": size, **more}


def raw(value: object, media_type: str = OCI_MANIFEST) -> RawManifest:
    return RawManifest.of(media_type, json.dumps(value).encode())


IMAGE = {"schemaVersion": 2, "config": descriptor("config", 3), "layers": [descriptor("a", 5)]}


def test_accept_names_all_four() -> None:
    assert set(ACCEPT.split(", ")) == {OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST}


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image(media_type: str) -> None:
    source = raw({**IMAGE, "mediaType": media_type}, media_type)
    image = source.parse()
    assert isinstance(image, Image)
    assert image.digest == source.digest == digest_of(source.body)
    assert image.size == 8
    assert [blob.digest for blob in image.blobs] == [digest_of(b"config"), digest_of(b"a")]
    assert image.subject is None


def test_a_repeated_layer_counts_once() -> None:
    image = raw({**IMAGE, "layers": [descriptor("a", 5), descriptor("a", 5)]}).parse()
    assert isinstance(image, Image)
    assert (image.size, len(image.blobs), len(image.layers)) == (8, 2, 2)


def test_a_foreign_layer_is_not_expected_in_the_registry() -> None:
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    image = raw({**IMAGE, "layers": [{**descriptor("w", 900), "mediaType": kind}]}).parse()
    assert isinstance(image, Image)
    assert [blob.digest for blob in image.blobs] == [digest_of(b"config")]
    assert image.size == 903


def test_a_subject() -> None:
    image = raw({**IMAGE, "subject": descriptor("signed")}).parse()
    assert isinstance(image, Image)
    assert image.subject == digest_of(b"signed")


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index(media_type: str) -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    entries = [descriptor("x", platform=platform), descriptor("y")]
    index = raw({"manifests": entries}, media_type).parse()
    assert isinstance(index, Index)
    assert [str(child.platform) for child in index.children] == ["linux/arm64/v8", "None"]


def test_go_writes_an_empty_list_as_null() -> None:
    index = raw({"manifests": None}, OCI_INDEX).parse()
    assert isinstance(index, Index)
    assert index.children == ()


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ([], OCI_MANIFEST),
        ({}, OCI_MANIFEST),
        ({}, OCI_INDEX),
        ({**IMAGE, "config": None}, OCI_MANIFEST),
        ({**IMAGE, "layers": "none"}, OCI_MANIFEST),
        ({**IMAGE, "layers": [descriptor("a", -1)]}, OCI_MANIFEST),
        ({**IMAGE, "layers": [{**descriptor("a"), "size": True}]}, OCI_MANIFEST),
        ({**IMAGE, "layers": [{**descriptor("a"), "size": "5"}]}, OCI_MANIFEST),
        ({**IMAGE, "layers": [{**descriptor("a"), "digest": "sha256:12"}]}, OCI_MANIFEST),
        ({**IMAGE, "layers": [{"digest": digest_of(b"a"), "size": 1}]}, OCI_MANIFEST),
        ({**IMAGE, "manifests": []}, OCI_MANIFEST),
        ({"manifests": [], "layers": []}, OCI_INDEX),
        ({**IMAGE, "mediaType": DOCKER_MANIFEST}, OCI_MANIFEST),
        ({"fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (IMAGE, "text/html"),
    ],
)
def test_what_is_no_manifest(value: object, media_type: str) -> None:
    with pytest.raises(InvalidManifest):
        raw(value, media_type).parse()


@given(st.binary(max_size=200), st.sampled_from([OCI_MANIFEST, OCI_INDEX]))
def test_no_bytes_raise_anything_else(body: bytes, media_type: str) -> None:
    with pytest.raises(InvalidManifest):
        RawManifest.of(media_type, body).parse()


def test_deep_nesting_is_no_manifest() -> None:
    with pytest.raises(InvalidManifest):
        RawManifest.of(OCI_MANIFEST, b"[" * 200_000).parse()


def test_a_config() -> None:
    config = parse_config(
        json.dumps(
            {
                "created": "2024-05-06T07:08:09.123456789Z",
                "os": "linux",
                "architecture": "arm64",
                "config": {"Labels": {"a": "b", "odd": 3}},
            }
        ).encode()
    )
    assert config.created == datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    assert config.platform == Platform("linux", "arm64")
    assert config.labels == {"a": "b"}


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2024-05-06T09:08:09+02:00", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("yesterday", None),
        (17, None),
        (None, None),
    ],
)
def test_dates_of_all_kinds(created: object, expected: datetime | None) -> None:
    assert parse_config(json.dumps({"created": created}).encode()).created == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"null"])
def test_what_is_no_config(body: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_config(body)


@pytest.mark.parametrize("value", [{"config": None}, {"config": {"Labels": []}}, {"os": 3}, {}])
def test_an_odd_config_is_read_as_far_as_it_goes(value: object) -> None:
    config = parse_config(json.dumps(value).encode())
    assert (config.created, config.platform, config.labels) == (None, None, {})


def test_a_placeholder_lists_the_image_with_its_platform() -> None:
    real = raw(IMAGE)
    placeholder = untag_placeholder(real, Platform("linux", "arm", "v7"), "one")
    index = placeholder.parse()
    assert isinstance(index, Index)
    (child,) = index.children
    assert (child.digest, child.size, child.media_type) == (
        real.digest,
        len(real.body),
        OCI_MANIFEST,
    )
    assert str(child.platform) == "linux/arm/v7"


def test_a_placeholder_for_an_index_has_its_children() -> None:
    real = raw({"manifests": [descriptor("x"), descriptor("y")]}, DOCKER_LIST)
    index = untag_placeholder(real, None, "one").parse()
    assert isinstance(index, Index)
    assert [child.digest for child in index.children] == [digest_of(b"x"), digest_of(b"y")]


def test_a_placeholder_leaves_out_children_that_the_registry_lost() -> None:
    real = raw({"manifests": [descriptor("x"), descriptor("y")]}, OCI_INDEX)
    index = untag_placeholder(real, None, "one", missing=[digest_of(b"x")]).parse()
    assert isinstance(index, Index)
    assert [child.digest for child in index.children] == [digest_of(b"y")]


def test_placeholders_are_unique_and_repeatable() -> None:
    real = raw(IMAGE)
    assert untag_placeholder(real, None, "one") == untag_placeholder(real, None, "one")
    assert (
        untag_placeholder(real, None, "one").digest != untag_placeholder(real, None, "two").digest
    )


def test_a_placeholder_for_something_unknown() -> None:
    real = RawManifest.of("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}")
    index = untag_placeholder(real, None, "one").parse()
    assert isinstance(index, Index)
    assert index.children[0].digest == real.digest
