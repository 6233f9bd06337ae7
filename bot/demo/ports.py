"""Ports for servers that are stopped and started again."""

import random
import socket
from pathlib import Path

from bot.demo.registryctl import is_free

_LOWEST = 10240  # below are ports that services are known by


def free_port() -> int:
    """A port of the loopback that nothing has, and that the kernel gives to no connection.

    Ports that the kernel chooses come from a range of their own. One of those may be taken by
    any outgoing connection while the server that had it is away for a moment.
    """
    for port in random.sample(range(_LOWEST, _first_of_the_kernels()), 100):
        if is_free(port):
            return port
    with socket.socket() as one:  # a machine set up in some way of its own
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        return int(port)


def _first_of_the_kernels() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    except OSError:
        return 32768
    return max(int(text.split()[0]), _LOWEST + 100)
