"""Where a registry stores, as far as its environment and configuration tell."""

from pathlib import PurePosixPath

import pytest

from bot.gc.docker.facts import Storage, environment, named_config, storage

DISK = "storage:\n  filesystem:\n    rootdirectory: /data\n"
ON_DISK = Storage("filesystem", PurePosixPath("/data"))
USUAL = Storage("filesystem", PurePosixPath("/var/lib/registry"))
CACHE = "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR"
ROOT = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"


@pytest.mark.parametrize(
    ("environ", "text", "found"),
    [
        ({}, DISK, ON_DISK),
        ({}, "storage: {filesystem: {rootdirectory: '/data'}}", ON_DISK),
        ({}, '{"storage": {"filesystem": {"rootdirectory": "/data"}}}', ON_DISK),
        ({}, "storage:\n  filesystem:\n", USUAL),
        ({ROOT: "/other"}, DISK, Storage("filesystem", PurePosixPath("/other"))),
        ({}, "storage:\n  s3:\n    rootdirectory: /prefix\n", Storage("s3")),
        ({"REGISTRY_STORAGE": "s3"}, DISK, Storage("s3")),
        ({"REGISTRY_STORAGE": "{gcs: {bucket: b}}"}, DISK, Storage("gcs")),
        ({}, "storage:\n  # s3: not any more\n  filesystem:\n", USUAL),
        ({}, "storage:\n  cache:\n    blobdescriptor: inmemory\n  azure:\n", Storage("azure")),
        ({}, None, Storage()),
        ({}, "no yaml at all", Storage()),
    ],
)
def test_where_images_lie(environ: dict[str, str], text: str | None, found: Storage) -> None:
    assert storage(environ, text, None) == found


def test_the_operator_knows_better() -> None:
    assert storage({}, "storage: {s3: {}}", PurePosixPath("/mnt")).root == PurePosixPath("/mnt")


@pytest.mark.parametrize(
    ("environ", "text", "redis"),
    [
        ({}, f"{DISK}  cache:\n    blobdescriptor: redis\n", True),
        ({}, f"{DISK}  cache:\n    #blobdescriptor: redis\n", False),
        ({}, f"{DISK}  cache: {{layerinfo: redis}}\n", True),
        ({CACHE: "redis"}, DISK, True),
        ({CACHE: "inmemory"}, f"{DISK}\n  blobdescriptor: redis", False),
    ],
)
def test_a_cache_in_redis(environ: dict[str, str], text: str, redis: bool) -> None:
    assert storage(environ, text, None).redis is redis


def test_the_configuration_that_a_server_names() -> None:
    assert named_config(["registry", "serve", "/etc/x.yml"]) == "/etc/x.yml"
    assert named_config(["registry", "serve"]) is None


def test_variables() -> None:
    assert environment({"Env": ["A=1", "B=x=y", "C="]}) == {"A": "1", "B": "x=y", "C": ""}
    assert environment({"Env": None}) == {}
