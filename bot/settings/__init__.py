"""The settings: the only reader of the environment and of `registry-bot.toml`.

:func:`load` either gives values that work together, or says everything that is wrong with them.
"""

import importlib.util
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from bot.rules.policy import Defaults, Policy
from bot.rules.rates import Limits
from bot.rules.retention import Retention
from bot.settings import values
from bot.settings.environment import read_environment
from bot.settings.policy import build_policy, unmatched_patterns
from bot.settings.problems import Findings, Problem, SettingsError
from bot.settings.reading import Document, read
from bot.settings.registries import RegistrySettings, Surroundings, build_registries, is_plain
from bot.settings.retention import build_retention
from bot.settings.secrets import Secrets

__all__ = [
    "CONFIG_VARIABLE",
    "Defaults",
    "Problem",
    "RegistrySettings",
    "Settings",
    "SettingsError",
    "SlackSettings",
    "load",
    "load_store_url",
    "unmatched_patterns",
]

CONFIG_VARIABLE = "REGISTRY_BOT_CONFIG"
SLACK_API = "https://slack.com/api/"
_DEFAULT_FILE = "registry-bot.toml"
_LARGEST_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """How to reach Slack and to be reached by it.

    `app_token` is there in mode "socket", `signing_secret` in mode "http"; the other one is
    `None` unless it was set as well. `api_url` ends with a slash; `max_connection_age` is the age
    in seconds at which a Socket Mode connection is replaced, whatever it looks like.
    """

    mode: str
    host: str
    port: int
    bot_token: SecretStr
    app_token: SecretStr | None
    signing_secret: SecretStr | None
    api_url: str = SLACK_API
    max_connection_age: float = 1800.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the program is told.

    `secrets` is for the log, to leave them out; `environ` for commands of the operator's, with
    every variable left out that holds a secret. `audit_channel` is where the head of the audit
    trail is posted; "" for nowhere.
    """

    slack: SlackSettings
    store_url: str = field(repr=False)  # it may hold a password
    registries: tuple[RegistrySettings, ...]
    policy: Policy
    defaults: Defaults
    max_tags_per_request: int
    timezone: ZoneInfo
    warnings: tuple[str, ...]
    state_dir: Path
    retention: tuple[Retention, ...] = ()
    secrets: tuple[SecretStr, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    audit_channel: str = ""
    limits: Limits = field(default_factory=Limits)

    def registry(self, name: str) -> RegistrySettings | None:
        """The registry with this name."""
        return next((r for r in self.registries if r.name == name), None)


def load(config_path: Path | None, environ: Mapping[str, str], *, slack: bool = True) -> Settings:
    """Read and check everything.

    Parameters
    ----------
    config_path : the settings file; None takes `REGISTRY_BOT_CONFIG`, and without it
        `registry-bot.toml` in the working directory.
    environ : the environment; secrets and `SLACK_API_URL` come from here.
    slack : False for what works without Slack: its secrets are not read, and its tokens empty.

    Raises
    ------
    SettingsError : with every problem, each naming its key and the fix.
    """
    own = read_environment(environ)
    path = _path(config_path, own.registry_bot_config)
    findings = Findings()
    document = read(_parse(path), findings)
    secrets = Secrets(environ, findings)
    reach = _slack(document, secrets, own.slack_api_url, findings) if slack else _no_slack(document)
    store_url = _store(document, secrets, findings)
    directory = path.absolute().parent
    around = Surroundings(directory, environ, secrets, findings)
    registries = build_registries(document, around)
    policy = build_policy(document, findings)
    retention = build_retention(document, findings)
    findings.raise_if_any()
    defaults = document.defaults.table
    return Settings(
        slack=reach,
        store_url=store_url,
        registries=registries,
        policy=policy,
        defaults=policy.defaults,
        max_tags_per_request=defaults.max_tags_per_request,
        timezone=ZoneInfo(defaults.timezone),
        warnings=findings.warnings,
        state_dir=_state_dir(store_url),
        retention=retention,
        secrets=tuple(SecretStr(value) for value in secrets.values),
        environ=_harmless(environ, secrets),
        audit_channel=document.audit.table.anchor_channel or "",
        limits=Limits(**document.limits.table.model_dump()),
    )


def load_store_url(config_path: Path | None, environ: Mapping[str, str]) -> str:
    """Where the store is, for what needs nothing else: no secret, and no rule that can be kept.

    Raises
    ------
    SettingsError : as for `load`, as far as the file itself goes.
    """
    findings = Findings()
    own = read_environment(environ)
    document = read(_parse(_path(config_path, own.registry_bot_config)), findings)
    url = _store(document, Secrets(environ, findings), findings)
    findings.raise_if_any()
    return url


def _harmless(environ: Mapping[str, str], secrets: Secrets) -> Mapping[str, str]:
    """The environment for commands of the operator's: nothing that is or holds a secret."""
    held = [value for value in secrets.values if len(value) > 3]
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("SLACK_") and not any(secret in value for secret in held)
    }


def _path(given: Path | None, named: str | None) -> Path:
    if given is not None:
        return given
    if named is None:
        if Path(_DEFAULT_FILE).is_file():
            return Path(_DEFAULT_FILE)
        raise _no_file("--config", f"is not given, and there is no {_DEFAULT_FILE} here")
    if not named.strip():
        raise _no_file(CONFIG_VARIABLE, "is empty")
    return Path(named)


def _no_file(key: str, text: str) -> SettingsError:
    fix = (
        f"Write --config PATH or set {CONFIG_VARIABLE} to the path of the settings file; "
        "registry-bot.example.toml shows what belongs in it."
    )
    return SettingsError((Problem(key, text, fix),))


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as source:
            content = source.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ValueError("it is larger than 1 MiB")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _no_file(str(path), f"cannot be read ({reason})") from None
    except UnicodeDecodeError:
        text, fix = "is not UTF-8 text", "Save it as UTF-8."
    except (ValueError, RecursionError) as error:
        text = f"is not valid TOML: {str(error)[:200]}"
        fix = "Mend that line; registry-bot.example.toml shows how the file looks."
    raise SettingsError((Problem(str(path), text, fix),))


def _slack(document: Document, secrets: Secrets, api_url: str, findings: Findings) -> SlackSettings:
    table = document.slack.table
    bot = secrets.token(
        "SLACK_BOT_TOKEN",
        "xoxb-",
        "The bot speaks with it; find it in the app's settings under OAuth & Permissions.",
    )
    unclear = "mode" in document.slack.broken
    app = signing = None
    if not unclear and (table.mode == "socket" or secrets.is_set("SLACK_APP_TOKEN")):
        app = secrets.token(
            "SLACK_APP_TOKEN",
            "xapp-",
            "Mode “socket” connects with it; make one in the app's settings under Basic "
            "Information, App-Level Tokens, with the scope connections:write.",
        )
    if not unclear and (table.mode == "http" or secrets.is_set("SLACK_SIGNING_SECRET")):
        signing = secrets.token(
            "SLACK_SIGNING_SECRET",
            "",
            "Mode “http” proves with it that events come from Slack; find it in the app's "
            "settings under Basic Information.",
        )
    host, port = _listen(document)
    return SlackSettings(
        mode=table.mode,
        host=host,
        port=port,
        bot_token=bot,
        app_token=app,
        signing_secret=signing,
        api_url=_api_url(api_url, findings),
        max_connection_age=table.max_connection_age,
    )


def _no_slack(document: Document) -> SlackSettings:
    host, port = _listen(document)
    return SlackSettings(document.slack.table.mode, host, port, SecretStr(""), None, None)


def _listen(document: Document) -> tuple[str, int]:
    host, _, port = document.slack.table.listen.rpartition(":")
    return host.strip("[]"), int(port)


def _api_url(url: str, findings: Findings) -> str:
    if not url:
        return SLACK_API
    try:
        values.split_url(url, ("https", "http"))
    except values.Unfit as error:
        findings.problem(
            "SLACK_API_URL",
            error.text,
            "Leave it unset for Slack itself; for an emulator write, for example, "
            "http://127.0.0.1:3900/api/.",
        )
        return SLACK_API
    if is_plain(url):
        findings.warn("SLACK_API_URL", "tokens travel unencrypted to this address.")
    return url.rstrip("/") + "/"


def _store(document: Document, secrets: Secrets, findings: Findings) -> str:
    url = document.store.table.url
    if url.startswith("postgres"):
        password = urlsplit(url).password
        if password:
            secrets.remember(password)
            secrets.remember(unquote(password))
            findings.warn(
                "store.url", "it holds a password; keep the file from others, or use ~/.pgpass."
            )
        if importlib.util.find_spec("asyncpg") is None:
            findings.warn(
                "store.url",
                "PostgreSQL needs the Python package asyncpg, which is not installed.",
            )
    return url


def _state_dir(store_url: str) -> Path:
    """Where logs and locks of collections are kept: beside the SQLite file, where there is one."""
    found = re.match(r"sqlite:///([^?]+)", store_url)
    beside = Path(found[1]).parent if found else Path()
    return (beside / "registry-bot-state").absolute()
