"""From tables to registries: addresses, logins, certificates, and how garbage is collected."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bot.registry.auth import Credentials, docker_credentials
from bot.registry.errors import CredentialsUnreadable
from bot.settings import file
from bot.settings.collecting import GcSettings, collecting
from bot.settings.problems import Findings
from bot.settings.reading import Document, Entry
from bot.settings.secrets import Secrets

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """One registry.

    `write_urls` has every way to push to its storage, `url` always among them. Without `gc`,
    `gc_note` says why garbage is never collected here; `gc_schedule` is when a collection is
    asked for by the clock ("" for never).
    """

    name: str
    url: str
    ca_file: Path | None = None
    credentials: Credentials | None = None
    write_urls: tuple[str, ...] = ()
    probe_repository: str = ""
    gc: GcSettings | None = None
    gc_note: str = ""
    gc_schedule: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What registries need from outside the file; relative paths start at `directory`."""

    directory: Path
    environ: Mapping[str, str]
    secrets: Secrets
    findings: Findings


def build_registries(document: Document, around: Surroundings) -> tuple[RegistrySettings, ...]:
    """The registries of the file; what cannot work goes to the findings."""
    if not document.registries:
        around.findings.problem(
            "registries",
            "is empty: there is no registry to look after",
            "Add [[registries]] with name and url.",
        )
    names: set[str] = set()
    urls: dict[str, str] = {}
    for entry in document.registries:
        name, url = entry.table.name, entry.table.url
        if name in names and "name" not in entry.broken:
            around.findings.problem(
                f"{entry.key}.name", "is there twice", "Give each registry a name of its own."
            )
        names.add(name)
        if url in urls and "url" not in entry.broken:
            around.findings.warn(
                f"{entry.key}.url",
                f"“{urls[url]}” has the same address; two names for one storage know nothing of "
                "each other's requests and collections.",
            )
        urls.setdefault(url, name)
    return tuple(_registry(entry, around) for entry in document.registries)


def is_plain(url: str) -> bool:
    """Whether what is sent to an address can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def _registry(entry: Entry[file.RegistryTable], around: Surroundings) -> RegistrySettings:
    table, key, findings = entry.table, entry.key, around.findings
    credentials = _credentials(entry, around)
    writes = tuple(dict.fromkeys([table.url, *table.write_urls]))
    if credentials is not None:
        for url in filter(is_plain, writes):
            findings.warn(key, f"the password travels unencrypted to {url}.")
    if table.events_secret is not None:
        findings.not_yet(
            f"{key}.events_secret", "Notifications from the registry are not received."
        )
    gc, note = _gc(entry, around)
    return RegistrySettings(
        name=table.name,
        url=table.url,
        ca_file=_ca_file(entry, around),
        credentials=credentials,
        write_urls=writes,
        probe_repository=table.probe_repository,
        gc=gc,
        gc_note=note,
        gc_schedule=(table.gc.schedule or "") if table.gc and gc else "",
    )


def _credentials(entry: Entry[file.RegistryTable], around: Surroundings) -> Credentials | None:
    source, key = entry.table.credentials, f"{entry.key}.credentials"
    if source is None or "url" in entry.broken:
        return None
    if source != "docker":
        return around.secrets.login(source.removeprefix("env:"), key)
    directory = around.environ.get("DOCKER_CONFIG", "")
    if not directory and around.environ.get("HOME"):
        directory = str(Path(around.environ["HOME"]) / ".docker")
    path = Path(directory) / "config.json" if directory else None
    try:
        found = docker_credentials(entry.table.url, path)
    except CredentialsUnreadable as error:
        around.findings.problem(key, f"cannot be used: {error.sentence.rstrip('.')}", error.hint)
        return None
    if found is None:
        around.findings.problem(
            key,
            "is “docker”, but docker has stored no login for this registry",
            f"Run docker login {urlsplit(entry.table.url).netloc} as the bot's user, or leave "
            "the line out if the registry wants no login.",
        )
        return None
    around.secrets.remember(found.password.get_secret_value())
    return found


def _ca_file(entry: Entry[file.RegistryTable], around: Surroundings) -> Path | None:
    if entry.table.ca_file is None:
        return None
    key = f"{entry.key}.ca_file"
    path = around.directory / Path(entry.table.ca_file).expanduser()
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        around.findings.problem(
            key,
            f"has no certificate in it ({path})",
            "It must hold the authority's certificate in PEM form: -----BEGIN CERTIFICATE-----.",
        )
    except OSError as error:
        around.findings.problem(
            key,
            f"cannot be read ({path}: {error.strerror or type(error).__name__})",
            "Relative paths start at the directory of the settings file.",
        )
    if entry.table.url.startswith("http:"):
        around.findings.warn(key, "the registry's address is plain http, so it is not used.")
    return path


def _gc(entry: Entry[file.RegistryTable], around: Surroundings) -> tuple[GcSettings | None, str]:
    if "gc" in entry.broken:
        return None, ""
    if entry.table.gc is None:
        return None, (
            f"No [registries.gc] is set for {entry.table.name}, so the bot does not know how to "
            "switch this registry to read-only and collect."
        )
    return collecting(entry.table.gc, f"{entry.key}.gc", around.directory, around.findings)
