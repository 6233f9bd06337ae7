"""The words that are run, and the settings that are refused."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gc.argv import CommandSettings, collect_argv, quoted, refusal

GOOD: dict[str, Any] = {
    "collect": ("registry", "garbage-collect"),
    "config": "/etc/config.yml",
    "start_read_only": ("ctl", "read-only"),
    "start": ("ctl", "read-write"),
    "stop": ("ctl", "stop"),
}


def settings(**changes: Any) -> CommandSettings:
    return CommandSettings(**(GOOD | changes))


@pytest.mark.parametrize(
    ("collect", "expected"),
    [
        ("gc", "gc --dry-run --delete-untagged C"),
        ("gc {config}", "gc --dry-run --delete-untagged C"),
        ("gc {config} --verbose", "gc --dry-run --delete-untagged C --verbose"),
        ("env CONFIG={config} gc", "env CONFIG=C gc --dry-run --delete-untagged"),
        ("docker exec r gc", "docker exec r gc --dry-run --delete-untagged C"),
    ],
)
def test_flags_come_before_the_config_path(collect: str, expected: str) -> None:
    one = settings(collect=tuple(collect.split()), config="C")
    assert collect_argv(one, dry_run=True, delete_untagged=True) == expected.split()


def test_only_the_flags_that_were_asked_for() -> None:
    one = settings()
    plain = ["registry", "garbage-collect", "/etc/config.yml"]
    assert collect_argv(one, dry_run=False, delete_untagged=False) == plain
    assert "--dry-run" not in collect_argv(one, dry_run=False, delete_untagged=True)
    assert "--delete-untagged" not in collect_argv(one, dry_run=True, delete_untagged=False)


def test_a_script_gets_flags_and_path_where_its_placeholder_is() -> None:
    one = settings(collect=("sh", "-c", "registry garbage-collect {config} | cat"), config="a b")
    assert collect_argv(one, dry_run=True, delete_untagged=False) == [
        "sh",
        "-c",
        "registry garbage-collect --dry-run 'a b' | cat",
    ]


def test_without_a_config_nothing_is_appended() -> None:
    one = settings(config=None)
    assert collect_argv(one, dry_run=True, delete_untagged=False)[2:] == ["--dry-run"]


@pytest.mark.parametrize(
    "ssh",
    [
        "ssh host",
        "/usr/bin/ssh host",
        "ssh -p 22 host",
        "ssh -p22 host",
        "ssh -vp 22 user@host",
        "ssh -oBatchMode=yes -o ConnectTimeout=5 -i key host",
        "ssh host -p 22",
        "ssh -- host",
        "ssh -4 host --",
        "nice -n 10 ssh host",
    ],
)
def test_ssh_words_behind_the_host_are_quoted_and_no_others(ssh: str) -> None:
    local = ssh.split()
    remote = ["registry", "garbage-collect", "--dry-run", "/my config/$HOME.yml"]
    assert list(quoted([*local, *remote])) == [*local, *map(shlex.quote, remote)]


def test_an_ssh_behind_an_ssh_is_quoted_twice() -> None:
    words = quoted(["ssh", "jump", "ssh", "host", "ls", "a b"])
    first = shlex.split(" ".join(words[2:]))
    assert first[:2] == ["ssh", "host"]
    assert shlex.split(" ".join(first[2:])) == ["ls", "a b"]


def test_other_programs_are_not_quoted() -> None:
    words = ("docker", "exec", "registry", "ls", "a b")
    assert quoted(words) == words


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=5))
def test_what_the_remote_shell_splits_is_what_was_written(words: list[str]) -> None:
    sent = quoted(["ssh", "host", "ls", *words])[2:]
    assert shlex.split(" ".join(sent)) == ["ls", *words]


def test_a_real_shell_agrees() -> None:
    words = ["printf", "%s\\n", "a b", "$HOME", "`id`", "it's", "*", "", "ü;&|"]
    sent = quoted(["ssh", "host", *words])[2:]
    done = subprocess.run(["sh", "-c", " ".join(sent)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == words[2:]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mode": "offline", "start_read_only": ()},
        {"stop": ()},
        {"start": (), "start_read_only": (), "unsafe_allow_live_gc": True},
        {"collect": ("/usr/bin/docker-registry", "garbage-collect")},
        {"collect": ("/opt/docker/gc.sh",)},
        {"collect": ("docker", "exec", "r", "registry", "garbage-collect"), "running": ("x",)},
        {"collect": ("docker", "run", "-m", "1g", "x", "garbage-collect"), "running": ("x",)},
        {"collect": ("sh", "-c", "nice registry garbage-collect {config}")},
        {"collect": ("ssh", "h", "registry", "garbage-collect"), "running": ("ssh", "h", "pgrep")},
    ],
)
def test_good_settings_are_not_refused(changes: dict[str, Any]) -> None:
    assert refusal(settings(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"collect": ()}, "No `collect`"),
        ({"mode": "sometimes"}, "“sometimes” is unknown"),
        ({"collect": ("gc", "{config}"), "config": None}, "`config` is not set"),
        ({"start_read_only": ()}, "No `start_read_only`"),
        ({"mode": "offline", "stop": ()}, "No `stop`"),
        ({"start": ()}, "No `start`"),
        ({"mode": "offline", "start": ()}, "No `start`"),
        ({"collect": ("registry", "garbage-collect", "--quiet")}, "`--quiet`"),
        ({"collect": ("registry", "garbage-collect", "-q")}, "`-q`"),
        ({"collect": ("registry", "garbage-collect", "-m")}, "`-m`"),
        ({"collect": ("registry", "garbage-collect", "--dry-run")}, "`--dry-run`"),
        ({"collect": ("docker", "exec", "-d", "r", "registry", "garbage-collect")}, "`-d`"),
        ({"collect": ("sh", "-c", "registry garbage-collect /etc/c.yml")}, "would be lost"),
        ({"collect": ("bash", "-lc", "registry garbage-collect /etc/c.yml")}, "would be lost"),
        ({"collect": ("ssh", "h", "registry garbage-collect")}, "`collect` gives ssh"),
        ({"running": ("ssh", "h", "pgrep -f x")}, "`running` gives ssh"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert reason in (refusal(settings(**changes)) or "")


@pytest.mark.parametrize(
    "collect",
    [
        "docker exec reg registry garbage-collect",
        "podman exec reg registry garbage-collect",
        "nerdctl exec reg registry garbage-collect",
        "crictl exec reg registry garbage-collect",
        "ssh host registry garbage-collect",
        "kubectl exec pod -- registry garbage-collect",
        "oc exec pod -- registry garbage-collect",
        "sudo registry garbage-collect",
        "doas registry garbage-collect",
        "runuser -u registry registry garbage-collect",
        "systemd-run --scope registry garbage-collect",
        "nice -n 19 /usr/local/bin/docker exec reg registry garbage-collect",
        "DOCKER exec reg registry garbage-collect",
    ],
)
def test_what_can_run_on_unseen_needs_a_running_command(collect: str) -> None:
    reason = refusal(settings(collect=tuple(collect.split())))
    assert reason is not None
    assert "`running`" in reason


def test_a_remote_word_inside_a_script_counts() -> None:
    script = "cd /tmp; sudo -u registry registry garbage-collect {config}"
    reason = refusal(settings(collect=("sh", "-c", script)))
    assert reason is not None
    assert "`sudo`" in reason


REDIS = [
    "storage:\n  cache:\n    blobdescriptor: redis\n",
    'storage: {"cache": {"blobdescriptor": "redis"}}',
    "storage:\n  # old name\n  cache:\n    layerinfo: 'redis' # shared\n",
]
NO_REDIS = [
    "storage:\n  cache:\n    blobdescriptor: inmemory # not redis\n",
    "storage:\n  cache:\n    # blobdescriptor: redis\n    blobdescriptor: inmemory\n",
    "redis:\n  addr: localhost:6379\n",
    "",
]


@pytest.mark.parametrize("text", REDIS)
def test_a_redis_cache_needs_a_clear_cache_command(text: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(text)
    assert "redis" in (refusal(settings(config=str(config))) or "")
    assert refusal(settings(config=str(config), clear_cache=("redis-cli", "flushdb"))) is None


@pytest.mark.parametrize("text", NO_REDIS)
def test_other_caches_do_not(text: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(text)
    assert refusal(settings(config=str(config))) is None


def test_a_config_that_is_elsewhere_is_not_read(tmp_path: Path) -> None:
    assert refusal(settings(config=str(tmp_path / "in-the-container.yml"))) is None
