"""Containers made after the registry's own: the read-only server, and what collects. Pure.

The original is never changed. Its clones have the same image (by its id, so that a tag that moved
does not matter), environment, limits and volumes. They do not have its restart policy, and none
of the labels by which compose and its like would take them for their own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.gc.docker.facts import READ_ONLY
from bot.gc.docker.shapes import Inspected

PREFIX = "registry-bot-"
REGISTRY, CONTAINER, JOB, ROLE, ORIGINAL = (
    f"io.registry-bot.{name}" for name in ("registry", "container", "job", "role", "original")
)
"""Labels of clones: whose they are, and the original's name and id."""

SERVER, COLLECTOR, DRY_RUN = "server", "collector", "dry-run"
"""What a clone is for."""

_ADOPTING = (
    "com.docker.compose.",
    "io.podman.compose.",
    "com.docker.stack.",
    "com.docker.swarm.",
    "com.centurylinklabs.watchtower",
    "autoheal",
)
_OWN_NETWORKS = ("default", "bridge", "host", "none", "nat")
_STAYS = ("json-file", {"max-size": "4g"})  # the engine's own limits would cut the beginning off


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a clone is: the registry's name in the settings, its container's, and the job."""

    registry: str
    container: str
    job: str

    def name(self, role: str) -> str:
        """The name of the clone: the same after a crash."""
        return f"{PREFIX}{self.job}" if role == SERVER else f"{PREFIX}{self.job}.{role}"

    def labels(self, role: str, original: Inspected) -> dict[str, str]:
        """What tells the clone from every other container."""
        return {
            REGISTRY: self.registry,
            CONTAINER: self.container,
            JOB: self.job,
            ROLE: role,
            ORIGINAL: str(original["Id"]),
        }


@dataclass(frozen=True, slots=True)
class Clone:
    """A container to be made: its name, the body of the call, and further networks."""

    name: str
    body: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def server(original: Inspected, owner: Owner) -> Clone:
    """The read-only server that stands in for the original: same addresses, ports and names."""
    config = _config(original)
    config["Env"] = [*_without_read_only(config.get("Env")), f'{READ_ONLY}={{"enabled":true}}']
    kept = {k: v for k, v in (config.get("Labels") or {}).items() if not k.startswith(_ADOPTING)}
    config["Labels"] = {**kept, **owner.labels(SERVER, original)}
    host = _host(original)
    host |= {"PortBindings": _ports(original), "PublishAllPorts": False}
    return _made(owner.name(SERVER), config, host, _networks(original))


def collector(
    original: Inspected, owner: Owner, role: str, argv: Sequence[str], *, network: bool
) -> Clone:
    """A container that runs one collection and ends; its output and exit code outlive the bot.

    It answers to no name and has no ports. `network` is for storage that is reached over one.
    """
    config = _config(original)
    for key in ("ExposedPorts", "MacAddress"):
        config.pop(key, None)
    config |= {"Entrypoint": [argv[0]], "Cmd": list(argv[1:]), "Tty": False, "OpenStdin": False}
    config["Healthcheck"] = {"Test": ["NONE"]}
    # Version 3 would try to export traces over the network.
    config["Env"] = [*(config.get("Env") or ()), "OTEL_TRACES_EXPORTER=none"]
    config["Labels"] = owner.labels(role, original)
    host = _host(original)
    host |= {"PortBindings": {}, "PublishAllPorts": False, "Links": None}
    host["LogConfig"] = {"Type": _STAYS[0], "Config": dict(_STAYS[1])}
    mode = str(host.get("NetworkMode") or "default")
    if not network and not mode.startswith("container:"):
        host["NetworkMode"] = "none"
        for key in ("Dns", "DnsOptions", "DnsSearch", "ExtraHosts"):
            host.pop(key, None)
    wanted = () if host["NetworkMode"] == "none" else _networks(original)
    unnamed: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    return _made(owner.name(role), config, host, unnamed)


def _made(
    name: str,
    config: Mapping[str, Any],
    host: Mapping[str, Any],
    networks: Mapping[str, Mapping[str, Any]],
) -> Clone:
    # The engine connects the one that is the container's mode; others are connected afterwards.
    first = {net: end for net, end in networks.items() if net == host.get("NetworkMode")}
    body = {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}}
    return Clone(name, body, {net: end for net, end in networks.items() if net not in first})


def _config(original: Inspected) -> dict[str, Any]:
    config = dict(original["Config"])
    host = original["HostConfig"]
    for key in ("Volumes", "OnBuild"):
        config.pop(key, None)
    config["Image"] = original["Image"]
    # None would mean the image's entrypoint; this is the way to say that there is none.
    config["Entrypoint"] = config.get("Entrypoint") or [""]
    generated = config.get("Hostname") == str(original["Id"])[:12]
    if generated or _shares_network(host) or host.get("UTSMode") == "host":
        config.pop("Hostname", None)
        config.pop("Domainname", None)
    if _shares_network(host):
        config.pop("ExposedPorts", None)
        config.pop("MacAddress", None)
    return config


def _host(original: Inspected) -> dict[str, Any]:
    host = dict(original["HostConfig"])
    for key in ("Binds", "Mounts", "VolumesFrom", "ContainerIDFile"):
        host.pop(key, None)
    host |= {"AutoRemove": False, "RestartPolicy": {"Name": "no"}, **_volumes(original)}
    host["Links"] = [_link(link) for link in host.get("Links") or ()]
    level = re.search(r":(s\d+(?::c[\d,.c]+)?)$", str(original.get("ProcessLabel") or ""))
    options = list(host.get("SecurityOpt") or ())
    if level and not any(str(option).startswith("label") for option in options):
        # Under SELinux a volume may be private to the original's own category.
        host["SecurityOpt"] = [*options, f"label=level:{level[1]}"]
    return host


def _volumes(original: Inspected) -> dict[str, Any]:
    mounts = original.get("Mounts") or []
    if all(one["Type"] in ("bind", "volume") for one in mounts):
        return {"VolumesFrom": [original["Id"]]}
    # The engine trips over others, such as tmpfs, when they come from a container.
    asked = {one.get("Target"): one for one in original["HostConfig"].get("Mounts") or ()}
    return {"Mounts": [_mount(one, asked.get(one["Destination"])) for one in mounts]}


def _mount(one: Mapping[str, Any], asked: Mapping[str, Any] | None) -> dict[str, Any]:
    if one["Type"] not in ("bind", "volume"):
        return dict(asked or {"Type": one["Type"], "Target": one["Destination"]})
    made: dict[str, Any] = {
        "Type": one["Type"],
        "Source": one["Name"] if one["Type"] == "volume" else one["Source"],
        "Target": one["Destination"],
        "ReadOnly": not one["RW"],
    }
    if one["Type"] == "volume":
        made["VolumeOptions"] = {"NoCopy": True}
    elif one.get("Propagation"):
        made["BindOptions"] = {"Propagation": one["Propagation"]}
    return made


def _networks(original: Inspected) -> dict[str, dict[str, Any]]:
    """Each network of the original that has names and addresses, with what was asked of it."""
    mode = str(original["HostConfig"].get("NetworkMode") or "default")
    if mode in ("host", "none") or _shares_network(original["HostConfig"]):
        return {}
    own = str(original["Id"])[:12]
    found: dict[str, dict[str, Any]] = {}
    for name, endpoint in (original["NetworkSettings"].get("Networks") or {}).items():
        if name in _OWN_NETWORKS:
            continue  # has no aliases, and nothing to ask for
        # On such a network a container answers to its own name, too.
        names = [alias for alias in endpoint.get("Aliases") or () if alias != own]
        wanted = {"Aliases": list(dict.fromkeys([*names, str(original["Name"]).lstrip("/")]))}
        for key in ("IPAMConfig", "Links", "DriverOpts", "GwPriority"):
            if endpoint.get(key):
                wanted[key] = endpoint[key]
        found[name] = wanted
    return found


def _ports(original: Inspected) -> dict[str, Any]:
    """The bindings, with the ports that the engine chose where nobody asked for one."""
    asked = dict(original["HostConfig"].get("PortBindings") or {})
    taken = original["NetworkSettings"].get("Ports") or {}
    if original["HostConfig"].get("PublishAllPorts"):
        asked = {port: [{}] for port in taken} | asked
    return {
        port: bindings if _all_named(bindings) else taken.get(port) or bindings
        for port, bindings in asked.items()
    }


def _all_named(bindings: Sequence[Mapping[str, str]] | None) -> bool:
    numbers = [str(one.get("HostPort") or "0") for one in bindings or ()]
    return all(number.isdigit() and int(number) for number in numbers)  # a range is none


def _without_read_only(words: Sequence[str] | None) -> list[str]:
    # The variable that ends in _ENABLED beside ours would be a panic, or ignored.
    return [word for word in words or () if not word.startswith(READ_ONLY)]


def _link(link: str) -> str:
    """`/db:/registry/alias` as it is told becomes `db:alias` as it is asked for."""
    target, _, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rpartition('/')[2]}"


def _shares_network(host: Mapping[str, Any]) -> bool:
    return str(host.get("NetworkMode") or "").startswith("container:")
