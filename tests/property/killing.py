"""A registry client whose process dies at a chosen call: before it was sent, or after."""

from typing import Any

from bot.registry.client import RegistryClient


class Killed(BaseException):
    """The process is gone. Nothing catches it, as nothing catches a SIGKILL."""


class Mortal:
    """Calls the client, and dies at call number `last`; whoever is dead calls nothing more.

    Only calls of `method` count, where one is named.
    """

    def __init__(self, client: RegistryClient, method: str, last: int, *, after: bool) -> None:
        self._client = client
        self._method = method
        self._left = last
        self._after = after
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= self._method in {name, ""}
            if self._dead or (self._left < 0 and not self._after):
                self._die()
            answer = await found(*args, **kwargs)
            if self._left < 0:
                self._die()
            return answer

        return call

    def _die(self) -> None:
        self._dead = True
        raise Killed
