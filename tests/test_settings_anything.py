"""Whatever stands in the settings file: it is read, or everything wrong with it is said by key."""

import datetime
import json
import math
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.settings import Settings, SettingsError, load
from bot.settings.file import REPEATED, SINGLE, GcTable, GroupTable, KeepTable, StepTable, Table
from tests.support.examples import examples
from tests.support.settings_file import SECRETS

GOOD: dict[str, Any] = {
    "slack": {"mode": "socket", "listen": "127.0.0.1:8080", "max_connection_age": "30m"},
    "store": {"url": "sqlite:///bot.db"},
    "registries": [
        {
            "name": "corp",
            "url": "https://registry.corp:5000",
            "write_urls": ["https://push.corp"],
            "probe_repository": "probe",
            "gc": {
                "collect": ["registry", "garbage-collect"],
                "config": "/etc/config.yml",
                "start_read_only": ["ctl", "read-only"],
                "start": ["ctl", "read-write"],
                "stop": ["ctl", "stop"],
                "storage_root": "/var/lib/registry",
                "timeout": "6h",
                "schedule": "sun 03:00",
            },
        }
    ],
    "channels": [{"id": "C0REGOPS", "registries": ["corp"]}],
    "groups": {"oncall": {"users": ["U0AAA"]}, "leads": {"slack_usergroup": "S0LEADS"}},
    "local_accounts": {"root": "U0AAA"},
    "protected": [{"repositories": ["prod/**"], "tags": ["latest"]}],
    "rules": [
        {
            "name": "default",
            "actions": ["delete", "purge", "gc"],
            "requesters": ["anyone"],
            "approval": "required",
            "steps": [{"approvers": ["oncall"], "approvals_needed": 1}],
            "remind_after": "10m",
            "escalate_to": ["leads"],
        }
    ],
    "emergency": {"enabled": True, "requesters": ["oncall"], "notify": ["leads"]},
    "retention": [
        {
            "name": "ci",
            "repositories": ["ci/**"],
            "keep": [{"tags": ["main-*"], "most_recent_count": 10, "created_within": "14d"}],
            "schedule": "daily 03:00",
            "channel": "C0REGOPS",
        }
    ],
    "audit": {"anchor_channel": "C0AUDIT"},
    "defaults": {"undo_window": "24h", "timezone": "UTC", "max_tags_per_request": 500},
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = TEXT | st.sampled_from(
    [
        *(
            "",
            " ",
            "\0",
            "env:",
            "env:X",
            "docker",
            "0s",
            "1d",
            "999999999999d",
            "-1h",
            "٣h",
            "1e3s",
        ),
        *(
            "sqlite://",
            "sqlite:///",
            "postgresql://",
            "postgresql://u:%zz@h:99999/d",
            "http://[::1",
        ),
        *(
            "https://u:p@h",
            "https://h:0",
            "https://h:99999",
            "//",
            "x" * 5000,
            "../..",
            "C",
            "U0AAA",
        ),
        *("[", "**", "a/**/b", "[!]", "daily 24:00", "sun 03:00", "0.0.0.0:0", "[::]:65536", ":1"),
        *("Europe/Paris", "/etc/passwd", "UTC\n", "anyone", "oncall", "tcp://h:1", "unix://"),
    ]
)
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | WORDS
    | st.sampled_from([datetime.date(2024, 1, 1), datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def _paths(model: type[Table], at: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    return [(*at, name) for name in model.model_fields]


PATHS: list[tuple[str | int, ...]] = [
    *((name,) for name in GOOD),
    *(path for name, model in SINGLE.items() for path in _paths(model, (name,))),
    *(path for name, model in REPEATED.items() for path in _paths(model, (name, 0))),
    *_paths(GcTable, ("registries", 0, "gc")),
    *_paths(StepTable, ("rules", 0, "steps", 0)),
    *_paths(KeepTable, ("retention", 0, "keep", 0)),
    *_paths(GroupTable, ("groups", "oncall")),
    ("groups", "more"),
    ("local_accounts", "more"),
    *((name, 1) for name in REPEATED),
    ("unknown",),
]


def put(document: Any, path: tuple[str | int, ...], value: object) -> None:
    """Set one key, as far as there is still a table for it."""
    for step in path[:-1]:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1]
    if isinstance(document, list) and isinstance(last, int):
        document[last : last + 1] = [value]
    elif isinstance(document, dict):
        document[last] = value


def toml(value: object) -> str:
    """A value as TOML writes it in one line."""
    match value:
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            return str(value)
        case str():
            return json.dumps(value).replace("\x7f", "\\u007F")
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            pairs = (f"{toml(key)} = {toml(inner)}" for key, inner in value.items())
            return f"{{{', '.join(pairs)}}}"
        case datetime.date():
            return value.isoformat()
    return repr(value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry-bot.toml"


def outcome(path: Path, environ: dict[str, str]) -> Settings | SettingsError:
    try:
        return load(path, environ)
    except SettingsError as error:
        return error


def check(path: Path, environ: dict[str, str]) -> None:
    """Settings, or problems that each name a key (or the file), what is wrong, and the fix."""
    found = outcome(path, environ)
    if isinstance(found, Settings):
        return
    assert found.problems
    for problem in found.problems:
        assert problem.key.strip()
        assert problem.text.strip()
        assert problem.fix.strip()
    for secret in SECRETS.values():
        assert secret not in str(found)


def written(document: dict[str, Any]) -> str:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())


def test_the_file_that_is_changed_is_good(path: Path) -> None:
    path.write_text(written(GOOD), encoding="utf-8")
    assert isinstance(outcome(path, dict(SECRETS)), Settings)


def test_any_value_for_any_key(path: Path) -> None:
    @examples(120)
    @given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
    def test(changes: list[tuple[tuple[str | int, ...], object]]) -> None:
        document = json.loads(json.dumps(GOOD))
        for where, value in changes:
            put(document, where, value)
        path.write_text(written(document), encoding="utf-8")
        check(path, dict(SECRETS))

    test()


def test_any_bytes(path: Path) -> None:
    good = written(GOOD).encode()

    @examples(100)
    @given(st.binary(max_size=60), st.integers(0, len(good)), st.integers(0, 40))
    def test(new: bytes, at: int, without: int) -> None:
        path.write_bytes(good[:at] + new + good[at + without :])
        check(path, dict(SECRETS))

    test()


def test_any_environment(path: Path) -> None:
    path.write_text(written(GOOD), encoding="utf-8")
    names = st.sampled_from(
        [
            *("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_API_URL"),
            *("SLACK_BOT_TOKEN_FILE", "SLACK_APP_TOKEN_FILE", "REGISTRY_BOT_CONFIG", "HOME"),
        ]
    )
    # What an environment can hold: no zero byte.
    values = WORDS.map(lambda text: text.replace("\0", "")) | st.just(str(path))

    @examples(100)
    @given(st.dictionaries(names, values, max_size=4))
    def test(environ: dict[str, str]) -> None:
        check(path, {**SECRETS, **environ})

    test()
