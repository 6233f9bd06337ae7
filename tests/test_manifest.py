"""The Slack app's manifests ask for what the bot uses, and nothing else."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from bot.slack.verbs import usage_hint

ROOT = Path(__file__).resolve().parent.parent
FILES = {"socket": "manifest.yml", "http": "manifest.http.yml"}
# The Web API methods that the bot may call, and the scope that Slack asks for each.
SCOPES = {
    "auth_test": set[str](),
    "apps_connections_open": set[str](),  # the app-level token, which is not in a manifest
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_info": {"channels:read", "groups:read"},
    "files_upload_v2": {"files:write"},
    "users_info": {"users:read"},
    "users_conversations": {"channels:read", "groups:read"},
    "usergroups_users_list": {"usergroups:read"},
    "views_open": set[str](),
    "views_update": set[str](),
    "views_publish": set[str](),
}


def read(name: str) -> Any:
    """The little of YAML that the manifests use: nested keys, lists, quoted and plain values."""
    lines = [
        (len(line) - len(line.lstrip()), line.strip())
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    found, rest = block(lines, lines[0][0])
    assert not rest, rest
    return found


def block(lines: list[tuple[int, str]], depth: int) -> tuple[Any, list[tuple[int, str]]]:
    made: Any = [] if lines[0][1].startswith("- ") else {}
    while lines and lines[0][0] == depth:
        text = lines[0][1]
        if isinstance(made, list):
            assert text.startswith("- "), text
            if not re.match(r"- \w+:( |$)", text):
                made.append(scalar(text[2:]))
                lines = lines[1:]
                continue
            item, lines = block([(depth + 2, text[2:]), *lines[1:]], depth + 2)
            made.append(item)
            continue
        key, colon, value = text.partition(":")
        assert colon, text
        assert key not in made, f"{key} is there twice"
        lines = lines[1:]
        if value:
            made[key] = scalar(value.strip())
        else:
            assert lines[0][0] > depth, f"{key} is empty"
            made[key], lines = block(lines, lines[0][0])
    assert not lines or lines[0][0] < depth, lines[0]
    return made, lines


def scalar(text: str) -> Any:
    if text.startswith('"'):
        return ast.literal_eval(text)
    assert ": " not in text, f"{text!r} needs quotes"
    assert " #" not in text, f"{text!r} needs quotes"
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text


def calls() -> set[str]:
    """The methods of Slack's client that the bot's source uses, by their looks."""
    heads = "|".join(sorted({method.split("_")[0] for method in SCOPES}))
    wanted = re.compile(rf"(?:{heads}|conversations|reactions|pins|team|bots)_\w+")
    found: set[str] = set()
    places = [*(ROOT / "bot" / "slack").rglob("*.py"), *(ROOT / "bot").glob("*.py")]
    for path in places:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Also without a call: a method may be handed on to who calls it.
            if not isinstance(node, ast.Attribute) or not _is_client(node.value):
                continue
            assert node.attr != "api_call", "name the method, so that its scope is seen"
            if wanted.fullmatch(node.attr):
                found.add(node.attr)
    return found


def _is_client(node: ast.expr) -> bool:
    return ast.unparse(node).endswith("client")


@pytest.fixture(params=FILES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def manifest(mode: str) -> Any:
    return read(FILES[mode])


def test_the_calls_are_found() -> None:
    assert {"auth_test", "users_info", "conversations_info", "chat_postEphemeral"} <= calls()


def test_every_call_has_a_known_scope() -> None:
    assert calls() <= set(SCOPES)


def test_the_scopes_are_those_of_the_calls(manifest: Any) -> None:
    scopes = manifest["oauth_config"]["scopes"]
    # A slash command is the one thing that needs a scope without a call.
    needed = {"commands"}.union(*(SCOPES[method] for method in calls()))
    assert set(scopes) == {"bot"}, "the bot acts for nobody: no user scopes"
    assert len(scopes["bot"]) == len(set(scopes["bot"]))
    assert set(scopes["bot"]) == needed


def test_the_mode_matches(manifest: Any, mode: str) -> None:
    assert manifest["settings"]["socket_mode_enabled"] is (mode == "socket")


def test_addresses_are_there_in_http_mode_only(manifest: Any, mode: str) -> None:
    command = manifest["features"]["slash_commands"][0]
    interactivity = manifest["settings"]["interactivity"]
    # Without an address of their own, no menu would ever ask for its choices.
    names = ("request_url", "message_menu_options_url")
    addresses = [command.get("url"), *(interactivity.get(name) for name in names)]
    addresses.append(manifest["settings"]["event_subscriptions"].get("request_url"))
    if mode == "socket":
        assert addresses == [None] * 4
    else:
        assert len(set(addresses)) == 1
        assert re.fullmatch(r"https://[a-z.-]+\.example\.com/slack/events", addresses[0])


def test_there_is_one_command_and_buttons_work(manifest: Any) -> None:
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == "/registry"
    assert command["should_escape"] is True
    assert manifest["settings"]["interactivity"]["is_enabled"] is True


def test_the_hint_names_only_verbs_that_exist(manifest: Any) -> None:
    (command,) = manifest["features"]["slash_commands"]
    assert command["usage_hint"] == usage_hint()


def test_the_one_event_is_that_somebody_looks_at_the_home_tab(manifest: Any) -> None:
    # Any other would show the bot what people write, for nothing.
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == ["app_home_opened"]
    assert manifest["features"]["app_home"]["home_tab_enabled"] is True


def test_people_can_get_direct_messages_but_not_answer_them(manifest: Any) -> None:
    # With the tab off, Slack refuses every direct message from the bot: messages_tab_disabled.
    assert manifest["features"]["app_home"]["messages_tab_enabled"] is True
    assert manifest["features"]["app_home"]["messages_tab_read_only_enabled"] is True


def test_what_the_bot_cannot_do_is_off(manifest: Any) -> None:
    assert manifest["settings"]["org_deploy_enabled"] is False
    assert manifest["settings"]["token_rotation_enabled"] is False


def test_lengths_are_within_slacks_limits(manifest: Any) -> None:
    shown = manifest["display_information"]
    (command,) = manifest["features"]["slash_commands"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert re.fullmatch(r"#[0-9a-f]{6}", shown["background_color"])
    assert len(manifest["features"]["bot_user"]["display_name"]) <= 80
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000


def test_both_ask_for_the_same_otherwise() -> None:
    socket, http = (read(name) for name in FILES.values())
    http["settings"]["socket_mode_enabled"] = True
    del http["settings"]["interactivity"]["request_url"]
    del http["settings"]["interactivity"]["message_menu_options_url"]
    del http["settings"]["event_subscriptions"]["request_url"]
    del http["features"]["slash_commands"][0]["url"]
    assert http == socket


@pytest.mark.parametrize("text", ["a:\nb: 1", "a: 1\na: 2", "a: b: c", "a:\n    b: 1\n  c: 2"])
def test_the_reader_refuses_what_it_cannot_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text(text)
    with pytest.raises(AssertionError):
        read(str(tmp_path / "broken.yml"))
