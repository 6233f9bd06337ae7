"""Reading the settings: where they come from, secrets, addresses, and every key by itself."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.rules.rates import Limits
from bot.settings import CONFIG_VARIABLE, SettingsError, file, load
from bot.settings.problems import Findings
from bot.settings.reading import read
from tests.support.settings_file import CHANNEL, GOOD, GROUPS, REGISTRY, RULE, SECRETS, Writer

EXAMPLE = Path(__file__).resolve().parent.parent / "registry-bot.example.toml"
EXAMPLE_SECRETS = {**SECRETS, "CORP_USERNAME": "nobody", "CORP_PASSWORD": "not-a-real-password"}


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


# ── Where the file is ─────────────────────────────────────────────────────────────────────────


def test_good_settings_load_without_a_warning(write: Writer) -> None:
    settings = write.load(GOOD)
    assert settings.warnings == ()
    assert settings.slack.mode == "socket"
    assert (settings.slack.host, settings.slack.port) == ("127.0.0.1", 8080)
    assert settings.slack.api_url == "https://slack.com/api/"
    assert settings.store_url == "sqlite:///registry-bot.db"
    assert settings.max_tags_per_request == 500
    assert settings.timezone == ZoneInfo("UTC")
    assert settings.registries[0].write_urls == ("https://registry.corp:5000",)
    assert settings.defaults.undo_window == 86400.0


def test_limits_have_defaults_and_bounds(write: Writer) -> None:
    assert write.load(GOOD).limits == Limits(100, 1000, 300, 1000, 100)
    given = write.load(GOOD + "[limits]\ncommands_per_minute = 5\njobs_per_registry = 7\n").limits
    assert (given.commands_per_minute, given.jobs_per_registry) == (5, 7)
    zero = write.problem("limits.commands_per_minute", GOOD + "[limits]\ncommands_per_minute = 0\n")
    assert zero.text == "is too small"


def test_the_variable_names_the_file(write: Writer) -> None:
    write.load(GOOD)
    settings = load(None, {**SECRETS, CONFIG_VARIABLE: str(write.path)})
    assert settings.registry("corp") is not None


def test_the_argument_goes_before_the_variable(write: Writer) -> None:
    write.load(GOOD)
    assert load(write.path, {**SECRETS, CONFIG_VARIABLE: "/nowhere"}).registries


def test_without_a_name_the_file_here_is_taken(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write.load(GOOD)
    monkeypatch.chdir(write.directory)
    assert load(None, SECRETS).registries


@pytest.mark.parametrize(
    ("environ", "key"),
    [({}, "--config"), ({CONFIG_VARIABLE: ""}, CONFIG_VARIABLE), ({CONFIG_VARIABLE: " "}, None)],
)
def test_no_file_named(
    environ: dict[str, str], key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load(None, environ)
    (problem,) = caught.value.problems
    assert problem.key == (key or CONFIG_VARIABLE)
    assert "registry-bot.example.toml" in problem.fix


@pytest.mark.parametrize("path", [Path("missing.toml"), Path()])
def test_a_file_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / path, SECRETS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[slack\n", "line 1"),
        (b"\xff\xfe", "UTF-8"),
        (b"a = 1\na = 2", "not valid TOML"),
        (b"#" * 1_048_577, "1 MiB"),
    ],
)
def test_a_file_that_is_no_toml(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        load(tmp_path / "x.toml", SECRETS)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(GOOD, encoding="utf-8-sig")
    assert load(tmp_path / "x.toml", SECRETS).registries


# ── The example ───────────────────────────────────────────────────────────────────────────────


def test_the_example_loads_without_a_warning() -> None:
    settings = load(EXAMPLE, EXAMPLE_SECRETS)
    assert settings.warnings == ()
    assert settings.registries[0].gc is not None


def _uncommented() -> str:
    """The example with every commented setting switched on."""
    setting = re.compile(r"^( *)# (?=(\w+ = [\[\"]|\[\[?\w+\]))", re.MULTILINE)
    return setting.sub(r"\1", EXAMPLE.read_text(encoding="utf-8"))


def test_what_the_example_comments_out_is_right_too() -> None:
    findings = Findings()
    document = read(tomllib.loads(_uncommented()), findings)
    findings.raise_if_any()
    assert document.retention
    assert document.registries[0].table.gc is not None


def test_the_example_shows_every_setting() -> None:
    raw = tomllib.loads(_uncommented())
    shown = set(_paths(raw))
    tables = {**file.SINGLE, **file.REPEATED}
    expected = {f"{name}.{key}" for name, table in tables.items() for key in table.model_fields}
    expected |= {f"registries.gc.{key}" for key in file.GcTable.model_fields}
    expected |= {f"rules.steps.{key}" for key in file.StepTable.model_fields}
    expected |= {f"retention.keep.{key}" for key in file.KeepTable.model_fields}
    # Rules can repeat the defaults, which the example says once.
    expected -= {f"rules.{key}" for key in file.DefaultsTable.model_fields}
    # Each protection and rule has one of these at least; a rule for tags would only confuse.
    expected -= {"rules.tags"}
    assert expected - shown == set()


def _paths(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, path)
    yield path


# ── Unknown keys and wrong kinds of values ────────────────────────────────────────────────────

UNKNOWN = [
    ("slak", "[slak]", "Did you mean slack?"),
    ("mode", 'mode = "socket"', "It belongs to [slack]"),
    ("slack.lisen", '[slack]\nlisen = "a:1"', "Did you mean listen?"),
    ("slack.undo_window", '[slack]\nundo_window = "1d"', "It belongs to [defaults]"),
    ("collect", "collect = []", "It belongs to [registries.gc]"),
    ("store.path", '[store]\npath = "x"', "Known here: url."),
    ("defaults.undo-window", '[defaults]\nundo-window = "1d"', "Did you mean undo_window?"),
    ("emergency.enable", "[emergency]\nenable = true", "Did you mean enabled?"),
    ("audit.anchor", '[audit]\nanchor = "C0A"', "Did you mean anchor_channel?"),
    ("groups.leads.user", 'groups.leads.user = ["U0B"]', "Did you mean users?"),
    ("protected[#1].tag", '[[protected]]\ntag = 1\ntags = ["a"]', "Did you mean tags?"),
]


@pytest.mark.parametrize(("key", "text", "fix"), UNKNOWN)
def test_an_unknown_key_is_an_error_with_a_suggestion(
    key: str, text: str, fix: str, write: Writer
) -> None:
    problem = write.problem(key, f"{text}\n{REGISTRY}")
    assert problem.text == "is not a setting that exists here"
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("key", "line", "after", "fix"),
    [
        ("registries[corp].probe_repo", 'probe_repo = ""', REGISTRY, "probe_repository"),
        ("registries[corp].gc.colect", "gc = { colect = [] }", REGISTRY, "collect"),
        ("channels[C0REGOPS].name", 'name = "ops"', CHANNEL, "Known here: id, registries."),
        ("rules[default].requester", 'requester = "x"', RULE, "requesters"),
        ("rules[default].effects", 'effects = "x"', RULE, "effect"),
    ],
)
def test_an_unknown_key_in_a_list_of_tables(
    key: str, line: str, after: str, fix: str, write: Writer
) -> None:
    problem = write.problem(key, GOOD.replace(after, f"{after}{line}\n"))
    assert fix in problem.fix


def test_an_unknown_key_in_a_step(write: Writer) -> None:
    text = GOOD.replace("approvals_needed = 1", "approvals_needed = 1, quorum = 2")
    assert "approvals_needed" in write.problem("rules[default].steps[#1].quorum", text).fix


@pytest.mark.parametrize("line", ['bot_token = "xoxb-1"', 'signing_secret = "s3cr3t"'])
def test_secrets_in_the_file_are_refused_and_not_repeated(line: str, write: Writer) -> None:
    (problem,) = write.problems(f"[slack]\n{line}\n{REGISTRY}").values()
    assert "SLACK_BOT_TOKEN_FILE" in problem.fix
    assert line.split('"')[1] not in str(problem)


WRONG = [
    ("slack.mode", '[slack]\nmode = "sockets"', 'must be "socket" or "http"', "socket?"),
    ("slack.mode", "[slack]\nmode = 1", 'must be "socket" or "http"', "Write one"),
    ("slack.listen", '[slack]\nlisten = ":8080"', "not a host and a port", "0.0.0.0:8080"),
    ("slack.listen", '[slack]\nlisten = "a:70000"', "not a host and a port", "127.0.0.1"),
    ("store.url", '[store]\nurl = "mysql://x/y"', "not a database", "sqlite:///"),
    ("store.url", '[store]\nurl = "sqlite://"', "not a database", "sqlite:///"),
    ("store.url", '[store]\nurl = "sqlite:///:memory:"', "not a database", "sqlite:///"),
    ("defaults.require_reason", '[defaults]\nrequire_reason = "false"', "true or false", "quotes"),
    ("defaults.require_reason", "[defaults]\nrequire_reason = 1", "true or false", "quotes"),
    ("defaults.undo_window", "[defaults]\nundo_window = 24", "not a duration", '"12h"'),
    ("defaults.undo_window", '[defaults]\nundo_window = "24"', "not a duration", '"12h"'),
    ("defaults.undo_window", '[defaults]\nundo_window = "1h30m"', "not a duration", '"12h"'),
    ("defaults.undo_window", '[defaults]\nundo_window = "999999999w"', "ten years", '"12h"'),
    ("defaults.expires_after", '[defaults]\nexpires_after = "0m"', "longer than nothing", "30m"),
    ("defaults.execute_within", '[defaults]\nexecute_within = "0s"', "longer than nothing", "30m"),
    ("defaults.max_tags_per_request", "[defaults]\nmax_tags_per_request = 0", "small", "larger"),
    ("defaults.max_tags_per_request", "[defaults]\nmax_tags_per_request = true", "whole", "digits"),
    ("defaults.timezone", '[defaults]\ntimezone = "Mars/Olympus"', "not a time zone", "Berlin"),
    ("defaults.timezone", '[defaults]\ntimezone = "../../etc/passwd"', "not a time zone", "UTC"),
    ("slack", '[[slack]]\nmode = "http"', "must be one table", "[slack]"),
    ("groups", "groups = []", "must be one table", "[groups]"),
    ("groups.leads", 'groups.leads = ["U0B"]', "must be a table", "users"),
    ("groups.x.users[#2]", 'groups.x.users = ["U0B", "@anna"]', "id of a person", "Copy member ID"),
    ("groups.x.users", 'groups.x.users = "U0B"', "must be a list", "brackets"),
    ("groups.x.slack_usergroup", 'groups.x.slack_usergroup = "@ops"', "user group", "S0123ABCD"),
    ("channels", "channels = 1", "must be a list of tables", "[[channels]]"),
    ("protected[#1].tags", "[[protected]]\ntags = []", "is empty", "leave the whole line out"),
    ("protected[#1]", "[[protected]]", "protects nothing by name", '["**"]'),
    ("audit.anchor_channel", '[audit]\nanchor_channel = "#audit"', "id of a channel", "C0123ABCD"),
]


@pytest.mark.parametrize(("key", "text", "said", "fix"), WRONG)
def test_a_wrong_value_is_named_with_its_fix(
    key: str, text: str, said: str, fix: str, write: Writer
) -> None:
    problem = write.problem(key, f"{text}\n{REGISTRY}")
    assert said in problem.text
    assert fix in problem.fix


def test_single_brackets_instead_of_double_ones(write: Writer) -> None:
    problem = write.problem("rules", GOOD.replace("[[rules]]", "[rules]"))
    assert "[[rules]]" in problem.fix


def test_durations_are_seconds(write: Writer) -> None:
    text = '[defaults]\nexpires_after = "90s"\nexecute_within = "2h"\nundo_window = "2w"\n'
    defaults = write.load(text + GOOD).defaults
    assert dataclasses.astuple(defaults) == (False, False, 90.0, 7200.0, 1209600.0)


def test_an_undo_window_may_be_nothing(write: Writer) -> None:
    assert write.load('[defaults]\nundo_window = "0m"\n' + GOOD).defaults.undo_window == 0.0


def test_every_problem_is_told_at_once(write: Writer) -> None:
    text = """
    slak = 1
    [slack]
    mode = "sockets"
    [defaults]
    timezone = "Mars"
    expires_after = "soon"
    [[registries]]
    name = "corp"
    url = "ftp://registry"
    credentials = "env:CORP"
    ca_file = "nowhere.pem"
    [[channels]]
    id = "C0REGOPS"
    registries = ["crop"]
    [[rules]]
    actions = ["delet"]
    requesters = ["leeds"]
    undo_window = "soon"
    [[rules]]
    name = "second"
    actions = ["gc"]
    requesters = ["leeds"]
    expires_after = "soon"
    [emergency]
    actions = ["purge"]
    """
    assert set(write.problems(text, {})) == {
        "slak",
        "slack.mode",
        "defaults.timezone",
        "defaults.expires_after",
        "registries[corp].url",
        "registries[corp].ca_file",
        "channels[C0REGOPS].registries",
        "rules[#1].name",
        "rules[#1].actions[#1]",
        "rules[#1].undo_window",
        "rules[#1].requesters",
        "rules[#1].steps",
        "rules[second].requesters",
        "rules[second].expires_after",
        "rules[second].steps",
        "emergency.actions",
        "SLACK_BOT_TOKEN",
    }


def test_the_error_reads_as_a_list(write: Writer) -> None:
    with pytest.raises(SettingsError) as caught:
        write.load('[defaults]\ntimezone = "Mars"\nrequire_reason = 1\n' + GROUPS + REGISTRY)
    head, *lines = str(caught.value).splitlines()
    assert head == "The settings have 2 problems:"
    assert lines[1].startswith("  defaults.timezone is not a time zone. Write a name such as")
