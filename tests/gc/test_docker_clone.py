"""What a clone is made of, read from what the engine tells about the original."""

from pathlib import Path
from typing import Any

import pytest

from bot.gc.docker.clone import COLLECTOR, Owner, collector, server
from bot.gc.docker.executor import DockerExecutor
from bot.gc.docker.settings import DockerSettings

ID = "a" * 64
OWNER = Owner("corp", "registry", "R7-collect")


def original(**changes: Any) -> dict[str, Any]:
    host = {"NetworkMode": "default", "RestartPolicy": {"Name": "always"}, "Binds": ["/a:/b"]}
    config: dict[str, Any] = {
        "Hostname": ID[:12],
        "Env": ["A=1"],
        "Cmd": ["serve"],
        "Entrypoint": ["registry"],
        "Image": "registry:2",
        "Volumes": {"/var/lib/registry": {}},
        "Labels": {"traefik.enable": "true", "com.docker.compose.service": "registry"},
    }
    return {
        "Id": ID,
        "Name": "/registry",
        "Image": "sha256:1",
        "Config": config | changes.pop("Config", {}),
        "HostConfig": host | changes.pop("HostConfig", {}),
        "NetworkSettings": {"Networks": {"bridge": {}}, "Ports": {}},
        "Mounts": [],
        **changes,
    }


def made(**changes: Any) -> dict[str, Any]:
    return dict(server(original(**changes), OWNER).body)


def test_the_image_is_the_same_whatever_its_tag_is_now() -> None:
    assert made()["Image"] == "sha256:1"


def test_traps_of_the_environment_are_left_behind() -> None:
    trap = "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"
    old = 'REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":false}'
    env = made(Config={"Env": ["A=1", trap, old]})["Env"]
    assert env == ["A=1", 'REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":true}']


def test_labels_for_traffic_stay_and_those_of_managers_go() -> None:
    labels = made()["Labels"]
    assert labels["traefik.enable"] == "true"
    assert not [label for label in labels if "compose" in label]
    assert labels["io.registry-bot.original"] == ID
    assert labels["io.registry-bot.job"] == "R7-collect"


def test_nothing_restarts_it_and_nothing_removes_volumes() -> None:
    host = made()["HostConfig"]
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["VolumesFrom"] == [ID]
    assert not host.keys() & {"Binds", "Mounts"}


def test_no_entrypoint_is_not_the_image_s_entrypoint() -> None:
    assert made(Config={"Entrypoint": None})["Entrypoint"] == [""]


@pytest.mark.parametrize(
    ("hostname", "host", "kept"),
    [(ID[:12], {}, False), ("hub", {}, True), ("hub", {"UTSMode": "host"}, False)],
)
def test_a_hostname_that_was_asked_for_stays(
    hostname: str, host: dict[str, str], kept: bool
) -> None:
    assert ("Hostname" in made(Config={"Hostname": hostname}, HostConfig=host)) is kept


def test_a_shared_network_allows_neither_ports_nor_names() -> None:
    body = made(
        Config={"Hostname": "hub", "ExposedPorts": {"5000/tcp": {}}},
        HostConfig={"NetworkMode": "container:x"},
    )
    assert not body.keys() & {"Hostname", "ExposedPorts"}
    assert body["NetworkingConfig"] == {"EndpointsConfig": {}}


@pytest.mark.parametrize(
    ("asked", "made_of"),
    [("5000", "5000"), ("", "49153"), ("0", "49153"), ("5000-5010", "49153")],
)
def test_ports_that_the_engine_chose_are_taken_over(asked: str, made_of: str) -> None:
    body = made(
        HostConfig={"PortBindings": {"5000/tcp": [{"HostIp": "", "HostPort": asked}]}},
        NetworkSettings={"Ports": {"5000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}},
    )
    assert body["HostConfig"]["PortBindings"]["5000/tcp"][0]["HostPort"] == made_of


def test_all_published_ports_are_taken_over() -> None:
    body = made(
        HostConfig={"PublishAllPorts": True},
        NetworkSettings={"Ports": {"5000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}},
    )
    assert body["HostConfig"]["PublishAllPorts"] is False
    assert body["HostConfig"]["PortBindings"]["5000/tcp"][0]["HostPort"] == "49153"


def test_links_are_asked_for_as_they_were() -> None:
    host = {"Links": ["/db:/registry/database"]}
    assert made(HostConfig=host)["HostConfig"]["Links"] == ["db:database"]


def test_private_volumes_of_selinux_can_be_read() -> None:
    label = "system_u:system_r:container_t:s0:c100,c200"
    assert made(ProcessLabel=label)["HostConfig"]["SecurityOpt"] == ["label=level:s0:c100,c200"]
    own = made(ProcessLabel=label, HostConfig={"SecurityOpt": ["label=disable"]})
    assert own["HostConfig"]["SecurityOpt"] == ["label=disable"]


def test_the_first_network_is_the_mode_and_others_follow() -> None:
    networks = {"more": {"Aliases": None}, "corp": {"Aliases": ["hub", ID[:12]], "Links": None}}
    found = server(
        original(HostConfig={"NetworkMode": "corp"}, NetworkSettings={"Networks": networks}), OWNER
    )
    endpoints = found.body["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints == {"corp": {"Aliases": ["hub", "registry"]}}
    assert found.networks == {"more": {"Aliases": ["registry"]}}


def test_a_collector_serves_nobody() -> None:
    one = original(
        Config={"Tty": True, "ExposedPorts": {"5000/tcp": {}}},
        HostConfig={"NetworkMode": "corp", "PortBindings": {"5000/tcp": [{"HostPort": "5000"}]}},
        NetworkSettings={"Networks": {"corp": {"Aliases": ["hub"]}}},
    )
    argv = ["registry", "garbage-collect", "/c.yml"]
    local = collector(one, OWNER, COLLECTOR, argv, network=False)
    assert local.name == "registry-bot-R7-collect.collector"
    assert (local.body["Entrypoint"], local.body["Cmd"]) == ([argv[0]], argv[1:])
    assert local.body["Tty"] is False
    assert not local.body["HostConfig"]["PortBindings"]
    assert local.body["HostConfig"]["NetworkMode"] == "none"
    assert local.body["HostConfig"]["LogConfig"]["Type"] == "json-file"
    assert "traefik.enable" not in local.body["Labels"]
    bucket = collector(one, OWNER, COLLECTOR, argv, network=True)
    assert bucket.body["NetworkingConfig"] == {"EndpointsConfig": {"corp": {}}}


def test_what_to_type_by_hand_ends_a_collection_before_the_original_starts(tmp_path: Path) -> None:
    near = DockerExecutor(DockerSettings(container="hub"), tmp_path, "corp")
    assert near.restore_command("R7-collect") == (
        "docker rm -f registry-bot-R7-collect.collector registry-bot-R7-collect; docker start hub"
    )
    away = DockerSettings(container="hub", socket="tcp://host:2376", tls_dir=Path("/tls"))
    words = (
        "docker -H tcp://host:2376 --tlsverify --tlscacert /tls/ca.pem --tlscert /tls/cert.pem "
        "--tlskey /tls/key.pem start hub"
    )
    assert DockerExecutor(away, tmp_path, "corp").restore_command("R7").endswith(f"; {words}")
