"""What a container's environment and configuration say about its storage.

The configuration is YAML, read with a few patterns: all that is wanted is which driver stores, in
which directory, and whether redis caches. Where they do not tell, nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

CONFIGS = ("/etc/docker/registry/config.yml", "/etc/distribution/config.yml")
"""Where the images of version 2 and 3 have their configuration."""

READ_ONLY = "REGISTRY_STORAGE_MAINTENANCE_READONLY"
FILESYSTEM = "filesystem"

_DEFAULT_ROOT = "/var/lib/registry"
_NAMES = "filesystem|s3aws|s3goamz|s3|azure|gcs|swift|oss|cos|obs|inmemory"
_DRIVERS = re.compile(rf"""(?:^|[\s{{,"'])({_NAMES})["']?[ \t]*:""", re.MULTILINE)
_ROOT = re.compile(r"""\brootdirectory["']?[ \t]*:[ \t]*["']?([^"'\s,}]+)""")
_REDIS = re.compile(r"""\b(?:blobdescriptor|layerinfo)["']?[ \t]*:[ \t]*["']?redis\b""")
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where images lie. `driver` is "" where nobody can tell; `root` is set for the filesystem."""

    driver: str = ""
    root: PurePosixPath | None = None
    redis: bool = False


def environment(config: Mapping[str, object]) -> dict[str, str]:
    """The variables of a container's `Config`."""
    words = config.get("Env")
    listed = words if isinstance(words, list) else []
    return {name: value for name, _, value in (str(word).partition("=") for word in listed)}


def named_config(words: Sequence[str]) -> str | None:
    """The configuration that a server's own command line names."""
    return next((word for word in reversed(words) if word.endswith((".yml", ".yaml"))), None)


def storage(environ: Mapping[str, str], text: str | None, root: PurePosixPath | None) -> Storage:
    """What is known about the storage.

    Parameters
    ----------
    environ : the server's variables, which beat its configuration.
    text : the configuration; None if it cannot be read.
    root : what the operator says, which beats both.
    """
    text = _COMMENT.sub("", text or "")
    cache = environ.get("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "")
    redis = cache == "redis" if cache else _REDIS.search(text) is not None
    if root is not None:
        return Storage(FILESYSTEM, root, redis)
    driver = _driver(environ, text)
    if driver != FILESYSTEM:
        return Storage(driver, None, redis)
    named = environ.get("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY")
    if named is None:
        found = _ROOT.search(text)
        named = found[1] if found else _DEFAULT_ROOT
    return Storage(driver, PurePosixPath(named), redis)


def _driver(environ: Mapping[str, str], text: str) -> str:
    chosen = environ.get("REGISTRY_STORAGE")
    if chosen is not None:
        # A name alone, or the whole table as YAML.
        if re.fullmatch(r"\w+", chosen.strip()):
            return chosen.strip()
        text = chosen
    found = set(_DRIVERS.findall(text))
    return found.pop() if len(found) == 1 else ""
