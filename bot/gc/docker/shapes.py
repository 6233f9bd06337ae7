"""The shapes of what an engine tells, as far as everything that reads it relies on them."""

from collections.abc import Mapping
from typing import Any

Inspected = Mapping[str, Any]
"""What the engine tells about a container."""

Shape = Mapping[str, Any]
"""Types by key: a type, several, or a shape of its own. What else there is may be anything."""

_OPTIONAL = (dict, type(None))

INSPECTED: Shape = {
    "Id": str,
    "State": {"Running": bool},
    "Config": {"Labels": _OPTIONAL},
    "HostConfig": dict,
}
LISTED: Shape = {"Id": str, "Labels": _OPTIONAL}
VOLUME: Shape = {"Name": str, "Options": _OPTIONAL}


def check(value: Any, shape: Shape) -> Mapping[str, Any]:
    """The value itself, an object of this shape. A key that may be null may also be missing.

    Raises
    ------
    TypeError : it is none.
    """
    if not isinstance(value, dict):
        raise TypeError("not an object")
    for key, wanted in shape.items():
        found = value.get(key)
        if isinstance(wanted, Mapping):
            check(found, wanted)
        elif not isinstance(found, wanted):
            raise TypeError(f"{key} is a {type(found).__name__}")
    return value
