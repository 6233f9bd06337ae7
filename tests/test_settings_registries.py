"""Registries in the settings: addresses, logins, certificates, and commands for collections."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.gc.argv import CommandSettings
from bot.settings import RegistrySettings
from tests.support.certificates import authority
from tests.support.settings_file import CHANNEL, GOOD, GROUPS, REGISTRY, RULE, SECRETS, Writer


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def corp(line: str) -> str:
    """Good settings with one more line for the registry."""
    return f"{REGISTRY}{line}\n{CHANNEL}{GROUPS}{RULE}"


def registry(
    write: Writer, line: str, environ: Mapping[str, str] | None = None
) -> RegistrySettings:
    (found,) = write.load(corp(line), {**SECRETS, **(environ or {})}).registries
    return found


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("registry.corp:5000", "is not an address"),
        ("ftp://registry.corp", "is not an address"),
        ("https://", "is not an address"),
        ("https://registry.corp:70000", "is not an address"),
        ("https://registry .corp", "is not an address"),
        ("https://anna:secret@registry.corp", "holds a user name or password"),
        ("https://registry.corp/?a=b", "goes on after its path"),
        ("https://registry.corp/#a", "goes on after its path"),
    ],
)
def test_addresses_that_are_refused(url: str, said: str, write: Writer) -> None:
    problem = write.problem("registries[corp].url", GOOD.replace("https://registry.corp:5000", url))
    assert said in problem.text
    assert "secret" not in str(problem)


def test_no_registry_at_all(write: Writer) -> None:
    write.problem("registries", GROUPS + RULE)


def test_two_registries_with_one_name(write: Writer) -> None:
    again = '\n[[registries]]\nname = "corp"\nurl = "https://other"\n'
    assert "twice" in write.problem("registries[corp].name", GOOD + again).text


def test_two_names_for_one_registry_are_warned_of(write: Writer) -> None:
    again = REGISTRY.replace('"corp"', '"twin"')
    settings = write.load((GOOD + again).replace('["corp"]', '["corp", "twin"]'))
    (warning,) = settings.warnings
    assert warning.startswith("registries[twin].url: “corp” has the same address")


@pytest.mark.parametrize("name", ["", "my corp", "a/b", "-x", "x" * 41])
def test_registry_names_that_nobody_could_type(name: str, write: Writer) -> None:
    found = write.problems(f'[[registries]]\nname = "{name}"\nurl = "https://a"\n')
    assert [key.rpartition(".")[2] for key in found] == ["name"]


def test_every_way_to_push_includes_the_address_itself(write: Writer) -> None:
    found = registry(write, 'write_urls = ["https://push.corp/", "https://registry.corp:5000"]')
    assert found.write_urls == ("https://registry.corp:5000", "https://push.corp")


def test_where_uploads_are_probed(write: Writer) -> None:
    assert registry(write, 'probe_repository = "team/probe"').probe_repository == "team/probe"
    write.problem("registries[corp].probe_repository", corp('probe_repository = "Team/API:x"'))


def test_a_login_from_the_environment(write: Writer) -> None:
    environ = {"CORP_USERNAME": "anna", "CORP_PASSWORD": "hunter2"}
    found = registry(write, 'credentials = "env:CORP"', environ)
    assert found.credentials is not None
    assert found.credentials.username == "anna"
    assert found.credentials.password.get_secret_value() == "hunter2"


def test_a_login_from_files(write: Writer) -> None:
    (write.directory / "user").write_text("anna\n")
    (write.directory / "word").write_text(" with spaces \r\n")
    environ = {
        "CORP_USERNAME_FILE": str(write.directory / "user"),
        "CORP_PASSWORD_FILE": str(write.directory / "word"),
    }
    found = registry(write, 'credentials = "env:CORP"', environ)
    assert found.credentials is not None
    assert found.credentials.username == "anna"
    assert found.credentials.password.get_secret_value() == " with spaces "


def test_a_login_that_is_not_there(write: Writer) -> None:
    found = write.problems(corp('credentials = "env:CORP"'))
    assert set(found) == {"CORP_USERNAME", "CORP_PASSWORD"}
    assert "registries[corp].credentials names it" in found["CORP_PASSWORD"].text


@pytest.mark.parametrize("source", ["CORP", "env:", "env:A B", "file:/x", ""])
def test_what_does_not_say_where_the_login_is(source: str, write: Writer) -> None:
    write.problem("registries[corp].credentials", corp(f'credentials = "{source}"'))


def test_the_login_of_docker(write: Writer) -> None:
    config = '{"auths": {"registry.corp:5000": {"auth": "YW5uYTpodW50ZXIy"}}}'
    (write.directory / "config.json").write_text(config)
    found = registry(write, 'credentials = "docker"', {"DOCKER_CONFIG": str(write.directory)})
    assert found.credentials is not None
    assert found.credentials.password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{}", "no login"),
        (None, "no login"),
        ("{", "cannot be used"),
        ('{"credHelpers": {"registry.corp:5000": "pass"}}', "cannot be used"),
    ],
)
def test_docker_has_no_login(config: str | None, said: str, write: Writer) -> None:
    home = write.directory / "home" / ".docker"
    home.mkdir(parents=True)
    if config is not None:
        (home / "config.json").write_text(config)
    environ = {**SECRETS, "HOME": str(home.parent)}
    problem = write.problem("registries[corp].credentials", corp('credentials = "docker"'), environ)
    assert said in problem.text


def test_a_password_over_plain_http_is_warned_of(write: Writer) -> None:
    environ = {**SECRETS, "CORP_USERNAME": "anna", "CORP_PASSWORD": "hunter2"}
    text = corp('credentials = "env:CORP"').replace("https:", "http:")
    (warning,) = write.load(text, environ).warnings
    assert "unencrypted" in warning
    assert write.load(text.replace("registry.corp", "127.0.0.1"), environ).warnings == ()


def test_a_certificate_is_found_beside_the_file(write: Writer) -> None:
    authority(write.directory / "certs")
    found = registry(write, 'ca_file = "certs/ca.pem"')
    assert found.ca_file == write.directory / "certs" / "ca.pem"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("no certificate", "no certificate in it")]
)
def test_a_certificate_that_is_none(content: str | None, said: str, write: Writer) -> None:
    if content is not None:
        (write.directory / "ca.pem").write_text(content)
    assert said in write.problem("registries[corp].ca_file", corp('ca_file = "ca.pem"')).text


def test_notifications_are_not_there_yet(write: Writer) -> None:
    (warning,) = write.load(corp('events_secret = "env:CORP_EVENTS"')).warnings
    assert warning.startswith("registries[corp].events_secret: this version does not have")


# ── Garbage collection ────────────────────────────────────────────────────────────────────────

LOCAL = """
[registries.gc]
collect = ["registry", "garbage-collect"]
config = "/nowhere/config.yml"
start_read_only = ["ctl", "read-only"]
start = ["ctl", "read-write"]
timeout = "2h"
"""


def test_the_commands(write: Writer) -> None:
    found = registry(write, LOCAL + f'storage_root = "{write.directory}"\nstop = ["ctl", "stop"]')
    assert found.gc_note == ""
    assert found.gc == CommandSettings(
        collect=("registry", "garbage-collect"),
        config="/nowhere/config.yml",
        start_read_only=("ctl", "read-only"),
        start=("ctl", "read-write"),
        stop=("ctl", "stop"),
        storage_root=write.directory,
        timeout=7200.0,
    )


def test_without_commands_the_reason_is_told(write: Writer) -> None:
    found = registry(write, "")
    assert found.gc is None
    assert "[registries.gc]" in found.gc_note


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('mode = "offline"', "`stop`"),
        ("start = []", "`start`"),
        ("start_read_only = []", "`start_read_only`"),
        ('collect = ["docker", "exec", "r", "registry", "garbage-collect"]', "`running`"),
        ('collect = ["ssh", "host", "registry", "garbage-collect"]', "`running`"),
        ("collect = []", "`collect`"),
    ],
)
def test_commands_that_cannot_work_refuse_gc_and_warn(line: str, said: str, write: Writer) -> None:
    key = line.partition(" ")[0]
    kept = [each for each in LOCAL.splitlines() if not each.startswith(f"{key} ")]
    settings = write.load(corp("\n".join([*kept, line])))
    (found,) = settings.registries
    assert found.gc is None
    assert said in found.gc_note
    assert settings.warnings == (
        f"registries[corp].gc: garbage collection is refused: {found.gc_note}",
    )


def test_the_docker_executor_is_not_there_yet(write: Writer) -> None:
    settings = write.load(corp('gc = { executor = "docker", socket = "unix:///x" }'))
    (warning,) = settings.warnings
    assert warning.startswith("registries[corp].gc.executor: this version does not have")
    assert settings.registries[0].gc is None
    assert 'executor = "command"' in settings.registries[0].gc_note


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('schedule = "sun 03:00"', "gc.schedule: this version does not have"),
        ("unsafe_allow_live_gc = true", "gc.unsafe_allow_live_gc: a collection beside"),
        ('storage_root = "/nowhere/at/all"', "gc.storage_root: /nowhere/at/all is no directory"),
        ('container = "registry"', "gc.container: only the executor"),
    ],
)
def test_what_is_warned_of_in_gc(line: str, said: str, write: Writer) -> None:
    settings = write.load(corp(LOCAL + line))
    (warning,) = settings.warnings
    assert warning.startswith(f"registries[corp].{said}")
    assert settings.registries[0].gc is not None


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("timeout", "timeout = 6"),
        ("executor", 'executor = "podman"'),
        ("mode", 'mode = "readonly"'),
        ("schedule", 'schedule = "weekly"'),
        ("collect", 'collect = "registry garbage-collect"'),
        ("start[#2]", 'start = ["ctl", ""]'),
    ],
)
def test_wrong_values_in_gc(key: str, line: str, write: Writer) -> None:
    write.problem(f"registries[corp].gc.{key}", corp(f"[registries.gc]\n{line}"))
