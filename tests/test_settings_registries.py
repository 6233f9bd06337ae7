"""Registries in the settings: addresses, logins, certificates, and commands for collections."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from bot.gc.argv import CommandSettings
from bot.gc.docker.settings import DockerSettings
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


def test_a_schedule_of_collections(write: Writer) -> None:
    settings = write.load(corp(LOCAL + 'schedule = "sun 03:00"'))
    assert settings.warnings == ()
    assert settings.registries[0].gc_schedule == "sun 03:00"
    assert write.load(corp(LOCAL)).registries[0].gc_schedule == ""


def docker(write: Writer, lines: str = "") -> RegistrySettings:
    (found,) = write.load(corp(f'[registries.gc]\nexecutor = "docker"\n{lines}')).registries
    return found


def test_a_container_needs_its_name_and_nothing_else(write: Writer) -> None:
    assert docker(write, 'container = "registry"').gc == DockerSettings("registry")
    none = docker(write)
    assert none.gc is None
    assert "`container`" in none.gc_note


def test_everything_about_a_container(write: Writer) -> None:
    certificates = write.directory / "certs"
    certificates.mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (certificates / name).touch()
    found = docker(
        write,
        """
        container = "registry"
        socket = "tcp://docker.corp:2376"
        tls_dir = "certs"
        mode = "offline"
        collect = ["/bin/distribution", "garbage-collect"]
        config = "/etc/other.yml"
        storage_root = "/data"
        clear_cache = ["redis-cli", "flushdb"]
        timeout = "2h"
        """,
    )
    assert found.gc == DockerSettings(
        container="registry",
        socket="tcp://docker.corp:2376",
        tls_dir=certificates,
        mode="offline",
        collect=("/bin/distribution", "garbage-collect"),
        config="/etc/other.yml",
        storage_root=PurePosixPath("/data"),
        clear_cache=("redis-cli", "flushdb"),
        timeout=7200.0,
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('container = "a/b"', "no name of a container"),
        ('container = "r"\nsocket = "/var/run/docker.sock"', "unix:///PATH or tcp://HOST:PORT"),
        ('container = "r"\nsocket = "tcp://host"', "unix:///PATH or tcp://HOST:PORT"),
        ('container = "r"\nsocket = "tcp://host:x"', "no usable port"),
        ('container = "r"\nsocket = "tcp://host:1"\ntls_dir = "nowhere"', "has no ca.pem"),
        ('container = "r"\ncollect = ["docker", "exec", "r"]', "`docker` is not there"),
        (
            'container = "r"\ncollect = ["registry", "garbage-collect", "-m"]',
            "must not contain `-m`",
        ),
        ('container = "r"\nstorage_root = "data"', "path inside the container"),
    ],
)
def test_a_container_that_cannot_be_collected(line: str, said: str, write: Writer) -> None:
    found = docker(write, line)
    assert found.gc is None
    assert said in found.gc_note


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('start = ["ctl"]', "gc.start: only the executor “command”"),
        ('running = ["ctl"]', "gc.running: only the executor “command”"),
        ("unsafe_allow_live_gc = true", "gc.unsafe_allow_live_gc: a container is always"),
        ('socket = "tcp://host:2375"', "gc.socket: the engine is spoken to without TLS"),
    ],
)
def test_what_is_warned_of_with_a_container(line: str, said: str, write: Writer) -> None:
    text = f'[registries.gc]\nexecutor = "docker"\ncontainer = "r"\n{line}'
    settings = write.load(corp(text))
    (warning,) = settings.warnings
    assert warning.startswith(f"registries[corp].{said}")
    assert settings.registries[0].gc is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
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
