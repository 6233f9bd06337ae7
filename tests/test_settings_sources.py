"""What comes from outside the file: Slack's tokens and address, and where things are kept."""

from pathlib import Path

import pytest

from bot.settings import SettingsError, load
from tests.support.settings_file import GOOD, REGISTRY, SECRETS, Writer

HTTP = '[slack]\nmode = "http"\n'
BOT_ONLY = {"SLACK_BOT_TOKEN": SECRETS["SLACK_BOT_TOKEN"]}


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


# ── Slack's tokens ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "environ", "missing"),
    [
        (GOOD, {}, {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}),
        (GOOD, BOT_ONLY, {"SLACK_APP_TOKEN"}),
        (GOOD, {**SECRETS, "SLACK_APP_TOKEN": ""}, {"SLACK_APP_TOKEN"}),
        (HTTP + GOOD, SECRETS, {"SLACK_SIGNING_SECRET"}),
        (HTTP + GOOD, {"SLACK_SIGNING_SECRET": "abc"}, {"SLACK_BOT_TOKEN"}),
    ],
)
def test_a_missing_secret_for_the_mode(
    text: str, environ: dict[str, str], missing: set[str], write: Writer
) -> None:
    found = write.problems(text, environ)
    assert set(found) == missing
    for key, problem in found.items():
        assert problem.text == "is not set"
        assert f"{key}_FILE" in problem.fix


def test_the_secrets_of_http_mode(write: Writer) -> None:
    slack = write.load(HTTP + GOOD, {**BOT_ONLY, "SLACK_SIGNING_SECRET": "5ig"}).slack
    assert slack.mode == "http"
    assert slack.app_token is None
    assert slack.signing_secret is not None
    assert slack.signing_secret.get_secret_value() == "5ig"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("xoxp-1", "a user token"),
        ("xapp-1", "an app-level token"),
        ("anything", "something else"),
        ("xoxb-1 2", "a space"),
        ("xoxb-", "ends after its beginning"),
    ],
)
def test_a_token_of_the_wrong_kind(token: str, said: str, write: Writer) -> None:
    problem = write.problem("SLACK_BOT_TOKEN", GOOD, {**SECRETS, "SLACK_BOT_TOKEN": token})
    assert said in problem.text
    assert token not in str(problem)


def test_tokens_that_were_swapped(write: Writer) -> None:
    environ = {"SLACK_BOT_TOKEN": "xapp-1", "SLACK_APP_TOKEN": "xoxb-1"}
    found = write.problems(GOOD, environ)
    assert "an app-level token" in found["SLACK_BOT_TOKEN"].text
    assert "a bot token" in found["SLACK_APP_TOKEN"].text


def test_a_secret_from_a_file(write: Writer) -> None:
    (write.directory / "token").write_text("xoxb-from-a-file\n")
    environ = {
        "SLACK_BOT_TOKEN_FILE": str(write.directory / "token"),
        "SLACK_APP_TOKEN": "xapp-1",
    }
    settings = write.load(GOOD, environ)
    assert settings.slack.bot_token.get_secret_value() == "xoxb-from-a-file"


def test_a_secret_and_its_file(write: Writer) -> None:
    (write.directory / "token").write_text("xoxb-1")
    environ = {**SECRETS, "SLACK_BOT_TOKEN_FILE": str(write.directory / "token")}
    assert "both set" in write.problem("SLACK_BOT_TOKEN", GOOD, environ).text


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "without a usable"), (b"\xff\xfe\n", "without a usable")],
)
def test_a_secret_file_that_is_of_no_use(content: bytes | None, said: str, write: Writer) -> None:
    path = write.directory / "token"
    if content is not None:
        path.write_bytes(content)
    environ = {"SLACK_BOT_TOKEN_FILE": str(path), "SLACK_APP_TOKEN": "xapp-1"}
    assert said in write.problem("SLACK_BOT_TOKEN_FILE", GOOD, environ).text


def test_secrets_do_not_show_and_are_listed_for_the_log(write: Writer) -> None:
    environ = {**SECRETS, "CORP_USERNAME": "anna", "CORP_PASSWORD": "hunter2hunter2"}
    settings = write.load(GOOD.replace(REGISTRY, REGISTRY + 'credentials = "env:CORP"\n'), environ)
    for secret in (*SECRETS.values(), "hunter2hunter2"):
        assert secret not in repr(settings)
        assert secret in [known.get_secret_value() for known in settings.secrets]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:3900/api/", "http://127.0.0.1:3900/api/"),
        ("http://127.0.0.1:3900/api", "http://127.0.0.1:3900/api/"),
        ("", "https://slack.com/api/"),
    ],
)
def test_another_base_of_the_web_api(given: str, used: str, write: Writer) -> None:
    settings = write.load(GOOD, {**SECRETS, "SLACK_API_URL": given})
    assert settings.slack.api_url == used
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "given", ["slack.com/api", "ftp://x/", "https://u:p@x/", "http://x:99999/"]
)
def test_a_base_that_is_no_address(given: str, write: Writer) -> None:
    write.problem("SLACK_API_URL", GOOD, {**SECRETS, "SLACK_API_URL": given})


def test_tokens_in_plain_sight_are_warned_of(write: Writer) -> None:
    settings = write.load(GOOD, {**SECRETS, "SLACK_API_URL": "http://emulator.corp/api/"})
    assert settings.warnings == ("SLACK_API_URL: tokens travel unencrypted to this address.",)


def test_the_address_to_listen_on_may_be_ipv6(write: Writer) -> None:
    slack = write.load('[slack]\nlisten = "[::1]:0"\n' + GOOD).slack
    assert (slack.host, slack.port) == ("::1", 0)


# ── The store ─────────────────────────────────────────────────────────────────────────────────


def test_state_lies_beside_the_database(write: Writer) -> None:
    url = f"sqlite:///{write.directory}/data/bot.db?timeout=5"
    settings = write.load(f'[store]\nurl = "{url}"\n' + GOOD)
    assert settings.store_url == url
    assert settings.state_dir == write.directory / "data" / "registry-bot-state"


def test_without_a_file_state_lies_here(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write.directory)
    settings = write.load('[store]\nurl = "postgresql://db.corp/bot"\n' + GOOD)
    assert settings.state_dir == write.directory / "registry-bot-state"


def test_a_password_in_the_store_s_address_is_kept_out_of_the_log(write: Writer) -> None:
    settings = write.load('[store]\nurl = "postgresql://bot:s%2Fcret@db/bot"\n' + GOOD)
    assert {"s%2Fcret", "s/cret"} <= {known.get_secret_value() for known in settings.secrets}
    assert any(
        warning.startswith("store.url: it holds a password") for warning in settings.warnings
    )


def test_commands_get_an_environment_without_secrets(write: Writer) -> None:
    text = GOOD.replace('name = "corp"', 'name = "corp"\ncredentials = "env:CORP"', 1)
    environ = {
        **SECRETS,
        "CORP_USERNAME": "robot",
        "CORP_PASSWORD": "obviously-fake",
        "COPY": "password=obviously-fake",
        "KUBECONFIG": "/etc/kube",
    }
    left = write.load(text, environ).environ
    assert "obviously-fake" not in str(left)
    assert not any(name.startswith("SLACK_") for name in left)
    assert left["KUBECONFIG"] == "/etc/kube"


def test_without_slack_none_of_its_secrets_is_needed_or_read(write: Writer) -> None:
    write.path.write_text(GOOD, encoding="utf-8")
    for environ in (
        {},
        {"SLACK_BOT_TOKEN": "xapp-swapped", "SLACK_API_URL": "no address"},
        {"SLACK_BOT_TOKEN_FILE": "/not/there"},
    ):
        settings = load(write.path, environ, slack=False)
        assert settings.slack.bot_token.get_secret_value() == ""
        assert settings.slack.app_token is None
        assert settings.secrets == ()
    with pytest.raises(SettingsError):
        load(write.path, {})
