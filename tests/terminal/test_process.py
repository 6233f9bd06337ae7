"""`registry-bot run` as a process: exit codes, streams, a real terminal, another user."""

import os
import pty
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.__main__ import main
from tests.support.host import Host
from tests.support.real_registry import RealRegistry, push_image

pytestmark = pytest.mark.anyio


def _read_until(terminal: int, words: str) -> str:
    seen = ""
    while words not in seen:
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


async def test_exit_codes_and_streams(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "scratch/x", "1")
    me = pwd.getpwuid(os.getuid()).pw_name
    done = host.spawn("--yes", "delete scratch/x:1")
    assert (done.code, done.err) == (0, "")
    assert f"Confirmed by local:{me}" in done.out
    assert "\x1b" not in done.out, "no colours where nobody reads"
    refused = host.spawn("delete scratch/x:1")
    assert refused.code == 1
    assert refused.out.count("scratch/x") == 0
    assert refused.err.startswith("✘ ")


USAGES = ([], ["tags", "team/api"], ["tags x", "--limit", "3"], ["--as", "bob", "repos"])


@pytest.mark.parametrize("words", USAGES)
def test_wrong_usage_is_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *words])
    assert ended.value.code == 2
    if words[1:] == ["--limit", "3"]:
        assert "registry-bot run 'tags x --limit 3'" in capsys.readouterr().err


def test_wrong_settings_are_two(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.write("[[rules]]\nname = 3\n")
    assert main(["run", "--config", str(host.config), "repos"]) == 2
    assert "rules" in capsys.readouterr().err


async def test_a_person_at_a_terminal_confirms(
    host: Host, registry: RealRegistry, terminal: tuple[int, int]
) -> None:
    await push_image(registry.url, "scratch/x", "1")
    ours, theirs = terminal
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        process = subprocess.Popen(
            host.argv("delete scratch/x:1"),
            env=host.environ(),
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        asked = _read_until(ours, "Confirm? [y/N] ")
        assert "goes: scratch/x:1" in asked, "asked before the plan was shown"
        assert "\x1b[1m" in asked
        os.write(ours, answer)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code, err
    os.close(theirs)


async def test_ctrl_c_is_a_no(
    host: Host, registry: RealRegistry, terminal: tuple[int, int]
) -> None:
    await push_image(registry.url, "scratch/x", "1")
    ours, theirs = terminal
    process = subprocess.Popen(
        host.argv("delete scratch/x:1"),
        env=host.environ(),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    _read_until(ours, "Confirm? [y/N] ")
    process.send_signal(signal.SIGINT)
    _read_until(ours, "You cancelled R1.")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, b"")


async def test_a_reader_that_leaves_early_stops_nothing(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "scratch/x", "1")
    process = subprocess.Popen(
        host.argv("--yes", "delete scratch/x:1"),
        env=host.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert (await host.request(1)).state == "done"


# Root imports everything, becomes the other user, and runs the program as they would.
_AS_ANOTHER = """
import os, sys
from bot.__main__ import main
uid, gid, *words = sys.argv[1:]
main(words)
for name in os.listdir("."):
    os.chown(name, int(uid), int(gid))
os.setgroups([]), os.setgid(int(gid)), os.setuid(int(uid))
print("-- now as another user")
sys.exit(main(words))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_somebody_else_whatever_they_set(registry: RealRegistry) -> None:
    other = next(p for p in pwd.getpwall() if 0 < p.pw_uid < 65000)
    directory = Path(tempfile.mkdtemp())
    try:
        os.chown(directory, other.pw_uid, other.pw_gid)
        host = Host(directory, [("corp", registry.url)])
        lies = {"SUDO_UID": "0", "SUDO_USER": "root", "USER": "root", "LOGNAME": "root"}
        done = subprocess.run(
            [
                *(sys.executable, "-c", _AS_ANOTHER, f"{other.pw_uid}", f"{other.pw_gid}"),
                *host.argv("whoami")[3:],
            ],
            env=host.environ() | lies,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        before, _, after = done.stdout.partition("-- now as another user")
        assert "You are local:root" in before, done.stderr
        assert f"You are local:{other.pw_name} " in after, done.stderr
        assert done.returncode == 0

        behind_sudo = host.spawn("whoami", environ={"SUDO_UID": str(other.pw_uid)})
        assert f"You are local:{other.pw_name} " in behind_sudo.out
    finally:
        shutil.rmtree(directory)


def test_the_program_tells_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in ("local:YOUR-ACCOUNT", "--yes", "tags team/api", "0 done, 1 refused"):
        assert words in told
