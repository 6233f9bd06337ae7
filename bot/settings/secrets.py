"""Secrets: from the environment, or from files that the environment points to; nowhere else."""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from bot.registry.auth import Credentials
from bot.settings.problems import Findings

_TOO_LONG = 64 * 1024


class Secrets:
    """Reads secrets by name and remembers them, so that the log can leave them out."""

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        self._environ = environ
        self._findings = findings
        self._seen: dict[str, None] = {}

    @property
    def values(self) -> tuple[str, ...]:
        """Every secret that was read."""
        return tuple(self._seen)

    def remember(self, value: str) -> None:
        """Note a secret that came another way."""
        if value:
            self._seen.setdefault(value)

    def find(self, name: str) -> str:
        """The value of `NAME`, or of the file that `NAME_FILE` points to; "" without either.

        An empty variable counts as none: compose files pass on what is not set as "".
        """
        direct, path = self._environ.get(name, ""), self._environ.get(f"{name}_FILE", "")
        if direct and path:
            self._findings.problem(
                name, f"and {name}_FILE are both set", "Remove one of them: only one can be meant."
            )
        value = direct or (self._from_file(f"{name}_FILE", path) if path else "")
        self.remember(value)
        return value

    def is_set(self, name: str) -> bool:
        """Whether the secret was given at all, even if it cannot be read."""
        return bool(self._environ.get(name) or self._environ.get(f"{name}_FILE"))

    def token(self, name: str, prefix: str, why: str) -> SecretStr:
        """A token of Slack, checked by its looks.

        Parameters
        ----------
        prefix : how tokens of this kind begin; "" where they have no common beginning.
        why : what the token is for and where it comes from, as a sentence.
        """
        value = self.find(name).strip()
        self.remember(value)
        if not value:
            if not self.is_set(name):
                self._findings.problem(
                    name, "is not set", f"{why} Set it, or {name}_FILE, in the environment."
                )
        elif not value.startswith(prefix):
            other = _KINDS.get(value.split("-")[0], "something else")
            self._findings.problem(
                name, f"does not begin with {prefix}: it looks like {other}", why
            )
        elif not re.fullmatch(r"[!-~]+", value):
            self._findings.problem(name, "holds a space or a line break", "Copy it again.")
        elif value == prefix:
            self._findings.problem(name, "ends after its beginning", "Copy the whole of it.")
        return SecretStr(value)

    def login(self, name: str, key: str) -> Credentials | None:
        """The user and password of `credentials = "env:NAME"`.

        Parameters
        ----------
        key : the setting that names them, for messages.
        """
        user, password = self.find(f"{name}_USERNAME"), self.find(f"{name}_PASSWORD")
        for part, value in (("USERNAME", user), ("PASSWORD", password)):
            if not value and not self.is_set(f"{name}_{part}"):
                self._findings.problem(
                    f"{name}_{part}",
                    f"is not set, and {key} names it",
                    f"Set it, or {name}_{part}_FILE, in the environment.",
                )
        if ":" in user:
            self._findings.problem(
                f"{name}_USERNAME", "holds a colon, which a login cannot", "Check the user name."
            )
        if not user or not password:
            return None
        return Credentials(user, SecretStr(password))

    def _from_file(self, name: str, path: str) -> str:
        try:
            with Path(path).open("rb") as source:
                content = source.read(_TOO_LONG + 1)
            # The line break at the end is the editor's, not the secret's.
            value = content.decode().rstrip("\r\n")
        except OSError as error:
            self._findings.problem(
                name,
                f"points to a file that cannot be read ({error.strerror or type(error).__name__})",
                "Check the path, and that the bot's user may read the file.",
            )
            return ""
        except ValueError:
            value = ""
        if not value or len(content) > _TOO_LONG:
            self._findings.problem(
                name,
                "points to a file without a usable secret in it",
                "The file holds the secret as text, and nothing else.",
            )
            return ""
        return value


_KINDS = {
    "xoxb": "a bot token",
    "xapp": "an app-level token",
    "xoxp": "a user token, which the bot must not have",
    "xoxe": "a configuration or refresh token",
}
