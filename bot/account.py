"""Who sits at this terminal: the operating system's word for it, and nobody else's."""

import os
import pwd
import re
from collections.abc import Mapping

_ROOT = 0
# What would not survive being written into messages and settings is no name to act under.
_NAME = re.compile(r"[^\s<>&`\"]{1,100}")


class NoAccount(Exception):
    """Nobody can be named. `hint` says what to do."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


def account(environ: Mapping[str, str]) -> str:
    """The account that runs this process; behind sudo, the one that called it.

    Nothing that a person can set makes them somebody else: `SUDO_UID` counts only where the
    process is root's, real and effective. There sudo has set it, and root could be anybody anyway.

    Raises
    ------
    NoAccount : the user id has no name, or one that cannot be written down.
    """
    uid = os.getuid()
    if uid == _ROOT and os.geteuid() == _ROOT:
        caller = environ.get("SUDO_UID", "")
        if re.fullmatch(r"[0-9]{1,10}", caller):
            uid = int(caller)
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        raise NoAccount(
            f"The user id {uid} has no account on this host, so nobody could be held to what is "
            "done.",
            "Run it as a user who is known here (see `getent passwd`).",
        ) from None
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise NoAccount(
            f"The account name {name!r} holds characters that cannot be written down.",
            "Run it as a user whose name has no spaces, quotes or angle brackets.",
        )
    return name
