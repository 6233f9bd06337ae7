"""Containers that cannot be collected, from what the engine lists."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from bot.gc.docker.facts import Storage
from bot.gc.docker.obstacles import Surroundings, obstacle

ID = "a" * 64
BOUND = {"o": "bind", "device": "/srv/images"}
SHARE = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/images"}
ON_DISK = Storage("filesystem", PurePosixPath("/var/lib/registry"))
VOLUME = {
    "Type": "volume",
    "Name": "images",
    "Source": "/var/lib/docker/volumes/images/_data",
    "Destination": "/var/lib/registry",
    "RW": True,
}


def original(**changes: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "State": {"Running": True},
        "Config": {"Labels": {}},
        "HostConfig": {},
        "Mounts": [VOLUME],
        **changes,
    }


def other(mount: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    mounts = [{"RW": True, "Destination": "/x", **mount}] if mount else []
    return {"Id": "b" * 64, "Names": ["/mirror"], "Mounts": mounts, **changes}


def found(
    *running: dict[str, Any],
    storage: Storage = ON_DISK,
    volumes: dict[str, dict[str, str]] | None = None,
    **changes: Any,
) -> str:
    around = Surroundings(running, volumes or {})
    return obstacle(original(**changes), "registry", storage, around, "R7") or ""


def test_nothing_in_the_way() -> None:
    assert found() == ""
    assert found(other({"Type": "volume", "Name": "else", "Source": "/x"})) == ""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"Running": False}, "is not running"),
        ({"Running": True, "Paused": True}, "is paused"),
        ({"Running": True, "Restarting": True}, "restarting over and over"),
    ],
)
def test_a_container_that_does_not_serve(state: dict[str, bool], said: str) -> None:
    assert said in found(State=state)


def test_compose_is_fine() -> None:
    assert found(Config={"Labels": {"com.docker.compose.project": "x"}}) == ""


@pytest.mark.parametrize(
    ("mount", "volumes"),
    [
        ({"Type": "volume", "Name": "images", "Source": ""}, {}),
        ({"Type": "bind", "Source": "/var/lib/docker/volumes/images/_data"}, {}),
        ({"Type": "bind", "Source": "/var/lib/docker/volumes/images/_data/docker"}, {}),
        ({"Type": "bind", "Source": "/var/lib/docker"}, {}),
        ({"Type": "bind", "Source": "/srv/images"}, {"images": BOUND}),
        ({"Type": "volume", "Name": "same", "Source": "/y"}, {"images": SHARE, "same": SHARE}),
    ],
)
def test_whoever_writes_to_the_same_place(
    mount: dict[str, Any], volumes: dict[str, dict[str, str]]
) -> None:
    assert "mirror can write to the same storage" in found(other(mount), volumes=volumes)
    assert found(other({**mount, "RW": False}), volumes=volumes) == ""


@pytest.mark.parametrize(
    "source", ["/", "/var/lib/docker/volumes/images/_data2", "/var/lib/docker/volumes/other"]
)
def test_neighbours_write_elsewhere(source: str) -> None:
    assert found(other({"Type": "bind", "Source": source})) == ""


def test_a_bucket_is_nobody_s_mount() -> None:
    same = other({"Type": "volume", "Name": "images", "Source": ""})
    assert found(same, storage=Storage("s3"), Mounts=[VOLUME]) == ""
    # Where nobody can tell, everything that can be written to counts.
    assert "same storage" in found(same, storage=Storage())


def test_only_the_mount_with_the_storage_counts() -> None:
    certificates = {**VOLUME, "Name": "certs", "Source": "/certs", "Destination": "/certs"}
    beside = other({"Type": "volume", "Name": "certs", "Source": "/certs"})
    assert found(beside, Mounts=[VOLUME, certificates]) == ""
    assert "inside the container" in found(Mounts=[certificates])


def test_whoever_lives_in_its_network() -> None:
    proxy = other(HostConfig={"NetworkMode": f"container:{ID}"})
    assert "mirror uses the network of registry" in found(proxy)


def test_clones_of_other_jobs_are_in_the_way_and_our_own_are_not() -> None:
    ours = {"io.registry-bot.original": ID, "io.registry-bot.role": "server"}
    shares = {"Type": "volume", "Name": "images", "Source": ""}
    for job, said in (("R7", ""), ("R6", "mirror, made for another collection (R6)")):
        assert said in found(other(shares, Labels={**ours, "io.registry-bot.job": job}))
    assert found(other(shares, Labels={**ours, "io.registry-bot.job": "R7"})) == ""
