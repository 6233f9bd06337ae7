"""Why a container cannot be collected as it runs at present. Pure: it reads what was inspected."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bot.gc.docker.clone import DRY_RUN, JOB, ORIGINAL, ROLE
from bot.gc.docker.facts import FILESYSTEM, Storage
from bot.gc.docker.shapes import Inspected

_RECONCILERS = {
    "com.docker.swarm.": "Docker swarm",
    "io.kubernetes.": "Kubernetes",
    "io.cri-containerd.": "Kubernetes",
    "com.hashicorp.nomad.": "Nomad",
    "com.amazonaws.ecs.": "Amazon ECS",
    "io.rancher.": "Rancher",
    "io.balena.": "balena",
    "PODMAN_SYSTEMD_UNIT": "systemd",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is on the engine beside the original.

    `running` are the listed containers that run, `volumes` the options of each volume.
    """

    running: Sequence[Inspected]
    volumes: Mapping[str, Mapping[str, str]]


def obstacle(
    original: Inspected, name: str, storage: Storage, around: Surroundings, job: str = ""
) -> str | None:
    """The first reason, as a sentence; None if there is none. `job`'s own clones are no reason."""
    return (
        _state(original, name)
        or _replaced(original, name)
        or _clones(original, around, job)
        or _dependants(original, name, around)
        or _place(original, name, storage)
        or _company(original, storage, around)
    )


def _state(original: Inspected, name: str) -> str | None:
    state = original["State"]
    if state.get("Restarting"):
        return f"The container {name} is restarting over and over: read its log first."
    if state.get("Paused"):
        return f"The container {name} is paused: continue it first."
    if not state.get("Running"):
        return f"The container {name} is not running: start it first."
    return None


def _replaced(original: Inspected, name: str) -> str | None:
    if original["HostConfig"].get("AutoRemove"):
        return (
            f"The container {name} was started with --rm: stopping it would remove it. Start it "
            "without."
        )
    for label in original["Config"].get("Labels") or {}:
        for prefix, manager in _RECONCILERS.items():
            if label.startswith(prefix):
                return (
                    f"The container {name} is kept running by {manager} (label {label}), which "
                    "would start another one during a collection. Use executor = “command” with "
                    f"commands that tell {manager} to switch it."
                )
    return None


def _clones(original: Inspected, around: Surroundings, job: str) -> str | None:
    for one in around.running:
        labels = one.get("Labels") or {}
        strange = labels.get(JOB) != job and labels.get(ROLE) != DRY_RUN
        if labels.get(ORIGINAL) == original["Id"] and strange:
            return (
                f"The container {_name(one)}, made for another collection ({labels.get(JOB)}), "
                "still runs. If no bot is working on it, remove it by hand."
            )
    return None


def _dependants(original: Inspected, name: str, around: Surroundings) -> str | None:
    for one in _others(original, around):
        mode = str((one.get("HostConfig") or {}).get("NetworkMode") or "")
        if mode in (f"container:{original['Id']}", f"container:{name}"):
            return (
                f"The container {_name(one)} uses the network of {name}, and would lose it "
                "when that is stopped."
            )
    return None


def _place(original: Inspected, name: str, storage: Storage) -> str | None:
    if storage.root is None or storage_mounts(original, storage):
        return None
    return (
        f"The storage {storage.root} is inside the container {name} itself, not in a volume: no "
        "other container can collect it. Move it to a volume, or set `storage_root` if it is "
        "elsewhere."
    )


def _company(original: Inspected, storage: Storage, around: Surroundings) -> str | None:
    if storage.driver not in ("", FILESYSTEM):
        return None  # in a bucket: only write_urls tell who else writes there
    ours = [_places(one, around) for one in storage_mounts(original, storage)]
    for one in _others(original, around):
        for mount in one.get("Mounts") or ():
            if mount.get("RW") and any(_overlap(_places(mount, around), place) for place in ours):
                return (
                    f"The container {_name(one)} can write to the same storage (mounted at "
                    f"{mount.get('Destination')}). Stop it, or mount the storage read-only there."
                )
    return None


def _others(original: Inspected, around: Surroundings) -> Iterable[Inspected]:
    for one in around.running:
        ours = (one.get("Labels") or {}).get(ORIGINAL) == original["Id"]
        if one["Id"] != original["Id"] and not ours:
            yield one


def storage_mounts(original: Inspected, storage: Storage) -> list[Mapping[str, Any]]:
    """The mount that has the storage; all that can be written to where it is not known."""
    mounts = [one for one in original.get("Mounts") or () if one["Type"] in ("bind", "volume")]
    if storage.root is None:
        return [one for one in mounts if one["RW"]]
    covering = [one for one in mounts if storage.root.is_relative_to(one["Destination"])]
    return sorted(covering, key=lambda one: len(one["Destination"]))[-1:]


def _places(mount: Mapping[str, Any], around: Surroundings) -> list[str]:
    """Where a mount's files are: paths on the host, or the address of a share."""
    found = [str(mount.get("Source") or "")]
    if mount.get("Type") == "volume":
        # The list of containers may leave the source out; the volume's name is as good.
        found.append(f"volume {mount.get('Name')}")
        options = around.volumes.get(str(mount.get("Name")), {})
        device = options.get("device", "")
        if device.startswith("/") and "bind" in options.get("o", ""):
            found.append(device)
        elif device:
            found.append(f"{options.get('type')} {options.get('o')} {device}")
    return [place for place in found if place]


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(_within(one, other) or _within(other, one) for one in some for other in others)


def _within(one: str, other: str) -> bool:
    if one == "/" or other == "/":
        return False  # programs that look after the whole host mount that
    if one.startswith("/") and other.startswith("/"):
        return PurePosixPath(one).is_relative_to(other)
    return one == other


def _name(listed: Inspected) -> str:
    names = listed.get("Names") or [str(listed["Id"])[:12]]
    return str(names[0]).lstrip("/")
