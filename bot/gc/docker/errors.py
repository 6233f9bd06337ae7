"""What goes wrong between us and the engine.

CommandFailed
├── EngineUnreachable   nobody answers at `socket`, or we may not ask
└── EngineRefused       the engine answered with an error; `status` is HTTP's
    └── NotThere        there is no such thing
"""

import errno
import ssl

import httpx

from bot.gc.errors import CommandFailed

_SAID = 500


class EngineUnreachable(CommandFailed):
    """The container engine does not answer."""


class EngineRefused(CommandFailed):
    """The container engine answered with an error."""

    def __init__(self, sentence: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(sentence, hint)
        self.status = status


class NotThere(EngineRefused):
    """There is no such container, network or file."""


def unreachable(error: Exception, address: str) -> EngineUnreachable:
    """Our words for what httpx or the operating system raised."""
    chain = _chain(error)
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return EngineUnreachable(
            f"TLS with the container engine at {address} failed: {error}.",
            "`tls_dir` must hold the authority that signed the engine's certificate, and a "
            "certificate and key that the engine trusts.",
        )
    numbers = {one.errno for one in chain if isinstance(one, OSError)}
    if errno.ENOENT in numbers:
        return EngineUnreachable(
            f"There is no container engine at {address}: the socket does not exist.",
            "Start the engine, or correct `socket`; where the bot runs in a container of its own, "
            "the socket must be mounted into it.",
        )
    if numbers & {errno.EACCES, errno.EPERM}:
        return EngineUnreachable(
            f"The bot may not speak to the container engine at {address}: permission denied.",
            "The bot's user must be able to write to the socket, as the group docker can. Whoever "
            "can do that is root on that host.",
        )
    if errno.ECONNREFUSED in numbers:
        return EngineUnreachable(
            f"The container engine at {address} refuses connections: it seems to be down.",
            "Start it, or correct `socket`.",
        )
    if any(isinstance(one, TimeoutError) for one in chain):
        return EngineUnreachable(
            f"The container engine at {address} did not answer in time.",
            "See whether `docker ps` answers on its host.",
        )
    return EngineUnreachable(
        f"The connection to the container engine at {address} failed: "
        f"{error or type(error).__name__}.",
        "See whether `docker ps` answers on its host.",
    )


def refused(what: str, answer: httpx.Response) -> EngineRefused:
    """Our words for an error that the engine answered while it was to do `what`."""
    said = ""
    try:
        said = str(answer.json()["message"])
    except (ValueError, RecursionError, KeyError, TypeError):
        said = answer.text
    said = " ".join(said.split())[:_SAID].rstrip(".")
    kind = NotThere if answer.status_code == httpx.codes.NOT_FOUND else EngineRefused
    return kind(
        f"The container engine could not {what}: {said or answer.status_code}.",
        "",
        status=answer.status_code,
    )


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain
