"""The operator's short commands: run to their end, and told where they fail."""

from collections.abc import Callable, Mapping

from bot.gc import process
from bot.gc.argv import quoted
from bot.gc.errors import CommandFailed
from bot.gc.executor import Fence
from bot.gc.files import JobFiles
from bot.gc.turn import Turn, Turns
from bot.gc.words import already_running

SWITCH_TIMEOUT = 300.0
"""Seconds that a start, stop or clear_cache command may take."""


class Commands:
    """Runs the commands that `[registries.gc]` names, by the name of their key."""

    def __init__(
        self, files: JobFiles, environ: Mapping[str, str] | None, timeout: float = SWITCH_TIMEOUT
    ) -> None:
        self._files = files
        self._timeout = timeout
        self.environ = process.environment(environ)
        turn, begun = files.of_registry("turn"), files.of_registry("begun.json")
        self.turns = Turns(turn, begun, timeout)

    async def run(
        self,
        field: str,
        words: tuple[str, ...],
        fence: Fence,
        collecting: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run one, after that of an earlier process and right after the fence.

        Raises CommandFailed unless it ends with 0, or where there is a collection at that moment.
        """
        if not words:
            raise CommandFailed(
                f"No `{field}` command is set.", f"Add `{field}` to the registry's gc settings."
            )
        self._files.prepared()
        while True:
            turn = await self.turns.take()
            try:
                await fence()
                if turn.enter():
                    if collecting():
                        raise already_running()
                    code, said = await self.ask(field, words, self._timeout, turn)
                    break
            finally:
                turn.end()
        if code:
            raise CommandFailed(
                f"`{field}` failed: `{words[0]}` {how(code)}.{said}",
                _AFTERWARDS.get(field, "Put its cause right; the bot goes on trying."),
            )

    async def ask(
        self, field: str, words: tuple[str, ...], timeout: float, turn: Turn | None = None
    ) -> tuple[int, str]:
        """Run one; its exit code, and the end of its output to append to a sentence.

        `turn` is told when it has begun. Raises CommandFailed if it cannot be started or takes
        too long.
        """
        self._files.prepared()
        output = self._files.of_registry(f"{field}.log")
        code = await process.run(
            quoted(words),
            output=output,
            timeout=timeout,
            environ=self.environ,
            begun=lambda pid: turn.began(field, pid) if turn else None,
        )
        return code, process.told(output)


_AFTERWARDS = {
    "start": "Put its cause right; the bot goes on trying. Or run the command by hand on the bot's "
    "host.",
    # By hand these would leave a registry behind that nobody can push to.
    "start_read_only": "Put its cause right, then collect again.",
    "stop": "Put its cause right, then collect again.",
}


def how(code: int) -> str:
    """How a command with this exit code ended, for people."""
    return f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
