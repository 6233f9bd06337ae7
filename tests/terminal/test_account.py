"""Who acts: the account of the process, and no word of anybody's to the contrary."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.account import NoAccount, account

ACCOUNT = Path(__file__).resolve().parents[2] / "bot" / "account.py"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


def _other() -> pwd.struct_passwd:
    """An account that is neither root nor ourselves."""
    return next(p for p in pwd.getpwall() if p.pw_uid not in {0, os.getuid()} and p.pw_uid < 65000)


def _as(user: int, environ: Mapping[str, str]) -> str:
    """What a process of that user makes of the environment. It needs nothing of ours but this."""
    program = f"{ACCOUNT.read_text()}\nprint(account(os.environ))"
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if python:
            with contextlib.suppress(PermissionError):
                done = subprocess.run(
                    [python, "-I", "-c", program],
                    user=user,
                    group=user,
                    extra_groups=[],
                    cwd="/",
                    env=dict(environ),
                    capture_output=True,
                    text=True,
                    check=True,
                )
                return done.stdout.strip()
    pytest.skip("that user may run no Python here")


def test_it_is_the_account_of_the_process() -> None:
    assert account({}) == pwd.getpwuid(os.getuid()).pw_name


NAMES = ("USER", "LOGNAME", "SUDO_USER", "USERNAME", "REGISTRY_BOT_ACTOR", "HOME")


@pytest.mark.parametrize("name", NAMES)
def test_no_variable_names_somebody(name: str) -> None:
    assert account({name: _other().pw_name}) == pwd.getpwuid(os.getuid()).pw_name


@as_root
def test_behind_sudo_it_is_the_caller() -> None:
    other = _other()
    assert _as(0, {"SUDO_UID": str(other.pw_uid), "SUDO_USER": "root"}) == other.pw_name


@as_root
@pytest.mark.parametrize("uid", ["", "ann", "-1", "1e3", " 1", "٣", "9" * 40])
def test_nonsense_from_sudo_leaves_root(uid: str) -> None:
    assert _as(0, {"SUDO_UID": uid}) == "root"


@as_root
@pytest.mark.parametrize("uid", ["0", "1"])
def test_somebody_who_is_not_root_cannot_be_somebody_else(uid: str) -> None:
    other = _other()
    lies = {"SUDO_UID": uid, "SUDO_USER": "root", "SUDO_COMMAND": "x", "USER": "root"}
    assert _as(other.pw_uid, lies) == other.pw_name


@as_root
def test_a_caller_without_an_account_is_nobody() -> None:
    with pytest.raises(NoAccount, match="4000000000 has no account"):
        account({"SUDO_UID": "4000000000"})


@pytest.mark.parametrize("name", ["ann smith", "a<b", "a`b", "a\nb", "a\x07b", ""])
def test_a_name_that_cannot_be_written_down(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd((name, "x", os.getuid(), 0, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    with pytest.raises(NoAccount):
        account({})
