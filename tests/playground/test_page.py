"""The page's server: what each person sees, gestures as the chosen person, and who is kept out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import PlaygroundError, Workspace
from bot.playground.page import Page, server

pytestmark = pytest.mark.anyio

HOSTILE = '<img src=x onerror=alert(1)></script>"\u2028'
COMMANDS = (("/registry help [VERB]", "what you can do"), ("/registry tags REPO", "list tags"))


def button(text: str, action: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": text},
        "action_id": action,
        **more,
    }


class Reader:
    """A browser without a screen."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def state(self, user: str) -> Any:
        async with self.http.get(f"{self.url}api/state", params={"user": user}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, gesture: str, user: str, status: int = 200, **body: Any) -> Any:
        sent = {"user": user, **body}
        async with self.http.post(f"{self.url}api/{gesture}", json=sent) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    @asynccontextmanager
    async def events(self, user: str) -> AsyncIterator["Events"]:
        async with self.http.get(f"{self.url}api/events", params={"user": user}) as answer:
            assert answer.content_type == "text/event-stream"
            yield Events(answer.content)


class Events:
    """The server's events, one after the other."""

    def __init__(self, lines: aiohttp.StreamReader) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, Any]:
        name = ""
        async with asyncio.timeout(5):
            async for line in self._lines:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text[7:]
                elif text.startswith("data: "):
                    return name, json.loads(text[6:])
        raise AssertionError("the stream ended")

    async def until(self, key: str) -> Any:
        """What the next change that has this key says about it."""
        while True:
            _, data = await self.next()
            if key in data:
                return data[key]


@pytest.fixture
async def page(workspace: Workspace) -> AsyncIterator[Page]:
    workspace.add_user("U3", "guest", is_restricted=True)
    workspace.change_channel("C1", members=["U1", "U2", "U3"])
    made = await Page.start(workspace, commands=COMMANDS, roles={"U1": "engineer"})
    yield made
    await made.stop()


@pytest.fixture
async def reader(page: Page) -> AsyncIterator[Reader]:
    async with aiohttp.ClientSession() as http:
        yield Reader(http, page.url)


async def test_everybody_sees_their_own_channels_and_messages(
    workspace: Workspace, reader: Reader, client: AsyncWebClient
) -> None:
    await client.chat_postMessage(channel="C1", text="for all")
    await client.chat_postEphemeral(channel="C1", user="U2", text="for bob")
    await client.chat_postMessage(channel="G1", text="for ada")
    ada, bob = await reader.state("U1"), await reader.state("U2")
    assert [m["text"] for m in ada["messages"]] == ["for all", "for ada"]
    assert [(m["text"], m["ephemeral"]) for m in bob["messages"]] == [
        ("for all", False),
        ("for bob", True),
    ]
    assert {"C1", "G1"} <= {c["id"] for c in ada["channels"]}
    assert "G1" not in {c["id"] for c in bob["channels"]}
    assert ada["commands"] == [list(pair) for pair in COMMANDS]
    roles = {p["name"]: p["role"] for p in ada["people"]}
    assert roles["ada"] == "engineer"
    assert roles["guest"] == "guest"


async def test_changes_come_by_themselves_and_alone(
    workspace: Workspace, reader: Reader, client: AsyncWebClient
) -> None:
    old = workspace.say("U2", "C1", "first")
    async with reader.events("U1") as events:
        name, whole = await events.next()
        assert name == "state"
        assert [m["text"] for m in whole["messages"]] == ["first"]
        posted = await client.chat_postMessage(channel="C1", text="second")
        assert [m["text"] for m in await events.until("messages")] == ["second"]
        await client.chat_update(channel="C1", ts=posted["ts"], text="changed")
        [changed] = await events.until("messages")
        assert (changed["text"], changed["edited"]) == ("changed", True)
        await client.chat_delete(channel="C1", ts=posted["ts"])
        assert await events.until("removed") == [["C1", posted["ts"]]]
    assert workspace.message(old) == old


async def test_somebody_elses_whisper_is_not_pushed(reader: Reader, client: AsyncWebClient) -> None:
    async with reader.events("U1") as events:
        await events.next()
        await client.chat_postEphemeral(channel="C1", user="U2", text="psst")
        await client.chat_postMessage(channel="C1", text="aloud")
        assert [m["text"] for m in await events.until("messages")] == ["aloud"]


async def test_a_command_and_clicks_of_two_people(
    workspace: Workspace, reader: Reader, app: AsyncApp, connect: Any
) -> None:
    pressed: list[str] = []

    @app.command("/registry")
    async def ask(ack: Any, say: Any, body: Any) -> None:
        await ack()
        blocks = [{"type": "actions", "elements": [button("Approve", "approve")]}]
        await say(text=f"{body['user_id']} asks {body['text']}", blocks=blocks)

    @app.action("approve")
    async def approve(ack: Any, body: Any) -> None:
        await ack()
        pressed.append(body["user"]["id"])

    await connect(app)
    done = await reader.post("command", "U1", channel="C1", text="/registry delete team/api:1")
    assert (done["acked"], done["error"]) == (True, "")
    message = await workspace.wait_for_message("C1", "U1 asks delete team/api:1")
    [block] = (await reader.state("U2"))["messages"][-1]["blocks"]
    ids = {"block_id": block["block_id"], "action_id": "approve"}
    for user in ("U2", "U1"):
        done = await reader.post("click", user, channel="C1", ts=message.ts, **ids)
        assert done["acked"]
    assert pressed == ["U2", "U1"]


async def test_of_two_buttons_with_one_action_the_right_one_is_pressed(
    workspace: Workspace, reader: Reader, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    pressed: list[str] = []

    @app.action("undo")
    async def undo(ack: Any, action: Any) -> None:
        await ack()
        pressed.append(action["value"])

    await connect(app)
    blocks = [
        {"type": "actions", "block_id": "a", "elements": [button("Undo", "undo", value="1")]},
        {"type": "actions", "block_id": "b", "elements": [button("Undo", "undo", value="2")]},
    ]
    posted = await client.chat_postMessage(channel="C1", text="x", blocks=blocks)
    for block in ("b", "a"):
        at = {"channel": "C1", "ts": posted["ts"], "block_id": block, "action_id": "undo"}
        await reader.post("click", "U1", **at)
    assert pressed == ["2", "1"]
    gone = {"channel": "C1", "ts": posted["ts"], "block_id": "z", "action_id": "undo"}
    answer = await reader.post("click", "U1", status=400, **gone)
    assert "not there" in answer["error"]


async def test_a_guest_talks_and_types_and_others_see_it(
    workspace: Workspace, reader: Reader, app: AsyncApp, connect: Any
) -> None:
    asked: list[str] = []

    @app.command("/registry")
    async def refuse(ack: Any, body: Any) -> None:
        asked.append(body["user_id"])
        await ack("Guests may not.")

    await connect(app)
    await reader.post("say", "U3", channel="C1", text="hello <b>all</b>")
    await reader.post("command", "U3", channel="C1", text="/registry help")
    assert asked == ["U3"]
    [said] = (await reader.state("U1"))["messages"]
    assert (said["user"], said["text"]) == ("U3", "hello &lt;b&gt;all&lt;/b&gt;")
    mine = (await reader.state("U3"))["messages"]
    assert [m["text"] for m in mine if m["ephemeral"]] == ["Guests may not."]
    await reader.post("say", "U3", status=400, channel="G1", text="let me in")


async def test_a_modal_is_filled_and_closed(
    workspace: Workspace, reader: Reader, app: AsyncApp, connect: Any
) -> None:
    view = {
        "type": "modal",
        "title": {"type": "plain_text", "text": "Why"},
        "submit": {"type": "plain_text", "text": "Ask"},
        "callback_id": "why",
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "text"},
            }
        ],
    }

    @app.command("/registry")
    async def ask(ack: Any, client: Any, body: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("why")
    async def check(ack: Any, view: Any) -> None:
        if view["state"]["values"]["reason"]["text"]["value"] == "old":
            await ack()
        else:
            await ack(response_action="errors", errors={"reason": "Say old."})

    await connect(app)
    await reader.post("command", "U1", channel="C1", text="/registry ask")
    await workspace.wait_for(lambda: workspace.views("U1"))
    [shown] = (await reader.state("U1"))["views"]
    assert (await reader.state("U2"))["views"] == []
    await reader.post("submit", "U2", status=400, view=shown["id"], values={"reason": "old"})
    empty = await reader.post("submit", "U1", status=400, view=shown["id"], values={})
    assert "must not be empty" in empty["error"]
    await reader.post("submit", "U1", view=shown["id"], values={"reason": "new"})
    [shown] = (await reader.state("U1"))["views"]
    assert shown["errors"] == {"reason": "Say old."}
    await reader.post("submit", "U1", view=shown["id"], values={"reason": "old"})
    assert (await reader.state("U1"))["views"] == []
    await reader.post("command", "U1", channel="C1", text="/registry ask")
    [again] = await workspace.wait_for(lambda: workspace.views("U1"))
    await reader.post("close", "U1", view=again.id)
    assert workspace.views("U1") == []


async def test_a_menu_in_a_message_and_suggestions_while_typing(
    http_workspace: Workspace, http_app: AsyncApp
) -> None:
    chosen: list[Any] = []
    typed: list[str] = []

    @http_app.action("pick")
    async def pick(ack: Any, action: Any) -> None:
        await ack()
        chosen.append(action["selected_option"])

    @http_app.options("find")
    async def find(ack: Any, payload: Any) -> None:
        typed.append(payload["value"])
        text = {"type": "plain_text", "text": "team/api"}
        await ack(options=[{"text": text, "value": "team/api"}])

    option = {"text": {"type": "plain_text", "text": "One"}, "value": "1"}
    elements = [
        {"type": "static_select", "action_id": "pick", "options": [option]},
        {"type": "external_select", "action_id": "find"},
    ]
    client = AsyncWebClient(token=http_workspace.bot_token, base_url=http_workspace.api_url)
    blocks = [{"type": "actions", "block_id": "b", "elements": elements}]
    posted = await client.chat_postMessage(channel="C1", text="x", blocks=blocks)
    async with await Page.start(http_workspace) as page, aiohttp.ClientSession() as http:
        reader = Reader(http, page.url)
        at = {"channel": "C1", "ts": posted["ts"], "block_id": "b"}
        assert (await reader.post("choose", "U1", **at, action_id="pick", value=option))["acked"]
        found = await reader.post("type-ahead", "U1", **at, action_id="find", value="app")
    assert chosen == [option]
    assert typed == ["app"]
    assert [o["value"] for o in found["options"]] == ["team/api"]


async def test_the_home_tab_is_each_persons_own(
    workspace: Workspace, reader: Reader, app: AsyncApp, connect: Any
) -> None:
    @app.event("app_home_opened")
    async def publish(client: Any, event: Any) -> None:
        text = {"type": "plain_text", "text": f"Home of {event['user']}"}
        view = {"type": "home", "blocks": [{"type": "header", "text": text}]}
        await client.views_publish(user_id=event["user"], view=view)

    await connect(app)
    await reader.post("home", "U1")
    await workspace.wait_for(lambda: workspace.home("U1"))
    home = (await reader.state("U1"))["home"]
    assert home["blocks"][0]["text"]["text"] == "Home of U1"
    assert (await reader.state("U2"))["home"] is None


async def test_hostile_names_are_text_in_json(
    workspace: Workspace, reader: Reader, client: AsyncWebClient
) -> None:
    workspace.add_user("U9", HOSTILE)
    workspace.add_channel("C9", HOSTILE, ["U1"])
    await client.chat_postMessage(channel="C9", text=HOSTILE)
    async with reader.http.get(f"{reader.url}api/state", params={"user": "U1"}) as answer:
        assert answer.content_type == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        seen = json.loads(await answer.text())
    assert HOSTILE in [p["name"] for p in seen["people"]]
    assert HOSTILE in [c["name"] for c in seen["channels"]]
    assert seen["messages"][-1]["text"] == HOSTILE
    async with reader.events("U1") as events:
        _, whole = await events.next()
    assert whole["messages"][-1]["text"] == HOSTILE


async def test_files_are_saved_and_never_shown_as_a_page(
    workspace: Workspace, reader: Reader, client: AsyncWebClient
) -> None:
    content = b"<script>alert(1)</script>\n"
    asked = await client.files_getUploadURLExternal(filename='g"c\r\n.html', length=len(content))
    async with reader.http.post(asked["upload_url"], data=content):
        pass
    files = [{"id": asked["file_id"], "title": "Log"}]
    await client.files_completeUploadExternal(files=files, channel_id="G1")
    [file] = (await reader.state("U1"))["messages"][-1]["files"]
    assert (file["title"], file["size"], file["preview"]) == ("Log", len(content), content.decode())
    address = f"{reader.url}api/file/{file['id']}"
    async with reader.http.get(address, params={"user": "U1"}) as answer:
        assert await answer.read() == content
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="g_c__.html"'
    async with reader.http.get(address, params={"user": "U2"}) as answer:
        assert answer.status == 404


async def test_what_travelled_is_shown_without_secrets(
    workspace: Workspace, reader: Reader, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    @app.command("/registry")
    async def answer_(ack: Any) -> None:
        await ack("done")

    await connect(app)
    await reader.post("command", "U1", channel="C1", text="/registry help")
    await client.chat_postMessage(channel="C1", text="hi")
    async with reader.http.get(f"{reader.url}api/traffic", params={"user": "U1"}) as answer:
        text = await answer.text()
    entries = json.loads(text)["entries"]
    [command] = [e for e in entries if e["way"] == "to bot"]
    assert (command["name"], command["ok"]) == ("/registry help", True)
    assert command["answer"] == {"text": "done"}
    assert entries[-1]["name"] == "chat.postMessage"
    for secret in (workspace.bot_token, workspace.app_token, workspace.hooks_url):
        assert secret not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_other_sites_are_refused(
    workspace: Workspace, reader: Reader, headers: dict[str, str]
) -> None:
    async with reader.http.get(
        f"{reader.url}api/state", params={"user": "U1"}, headers=headers
    ) as answer:
        assert answer.status == 403
    body = {"user": "U1", "channel": "C1", "text": "from elsewhere"}
    async with reader.http.post(f"{reader.url}api/say", json=body, headers=headers) as answer:
        assert answer.status == 403
        assert "error" in await answer.json()
    assert workspace.messages("C1") == []


async def test_forms_of_other_sites_are_refused(workspace: Workspace, reader: Reader) -> None:
    body = json.dumps({"user": "U1", "channel": "C1", "text": "from elsewhere"})
    headers = {"Content-Type": "text/plain"}
    async with reader.http.post(f"{reader.url}api/say", data=body, headers=headers) as answer:
        assert answer.status == 403
    assert workspace.messages("C1") == []


async def test_its_own_page_is_let_in(workspace: Workspace, reader: Reader) -> None:
    port = reader.url.rstrip("/").rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]"):
        here = f"{host}:{port}"
        headers = {"Host": here, "Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"}
        body = {"user": "U1", "channel": "C1", "text": host}
        async with reader.http.post(f"{reader.url}api/say", json=body, headers=headers) as answer:
            assert answer.status == 200
    assert len(workspace.messages("C1")) == 3


@pytest.mark.parametrize("user", ["", "U404", "U0REGISTRY", "USLACKBOT", HOSTILE])
async def test_nobody_acts_as_a_stranger_or_as_the_bot(reader: Reader, user: str) -> None:
    answer = await reader.post("say", user, status=400, channel="C1", text="hi")
    assert "nobody here" in answer["error"]
    for path in ("state", "events", "traffic", "file/F1"):
        async with reader.http.get(f"{reader.url}api/{path}", params={"user": user}) as refused:
            assert refused.status == 400


@pytest.mark.parametrize(
    ("gesture", "body"),
    [
        ("say", {"channel": "C404", "text": "x"}),
        ("say", {"channel": "C1", "text": " "}),
        ("say", {"channel": "C1", "text": ["x"]}),
        ("say", {"channel": "C1", "text": "x", "thread_ts": "1.0"}),
        ("command", {"channel": "C1", "text": "/other help"}),
        ("click", {"channel": "C1", "ts": "1.0", "block_id": "b", "action_id": "a"}),
        ("click", {"view": "V404", "block_id": "b", "action_id": "a"}),
        ("submit", {"view": "V404"}),
        ("submit", {"view": "V404", "values": []}),
        ("close", {}),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    reader: Reader, gesture: str, body: dict[str, Any]
) -> None:
    assert (await reader.post(gesture, "U1", status=400, **body))["error"]


async def test_a_private_message_cannot_be_clicked_by_its_address(
    workspace: Workspace, reader: Reader, client: AsyncWebClient
) -> None:
    blocks = [{"type": "actions", "block_id": "b", "elements": [button("Go", "go")]}]
    secret = await client.chat_postMessage(channel="G1", text="x", blocks=blocks)
    own = await client.chat_postEphemeral(channel="C1", user="U1", text="x", blocks=blocks)
    for channel, ts in (("G1", secret["ts"]), ("C1", own["message_ts"])):
        at = {"channel": channel, "ts": ts, "block_id": "b", "action_id": "go"}
        answer = await reader.post("click", "U2", status=400, **at)
        assert "do not see" in answer["error"]


async def test_the_page_loads_nothing_from_elsewhere(reader: Reader) -> None:
    async with reader.http.get(reader.url) as answer:
        html = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in html.replace("http-equiv", "")
    for name in ("app.js", "style.css", "icon.svg"):
        async with reader.http.get(f"{reader.url}static/{name}") as answer:
            assert answer.status == 200
    for name in ("..%2Fserver.py", "%2Fetc%2Fpasswd", "nothing.js", "..%2F..%2F__init__.py"):
        async with reader.http.get(f"{reader.url}static/{name}") as answer:
            assert answer.status == 404


def test_scripts_never_make_html_of_text() -> None:
    static = Path(server.__file__).with_name("static")
    scripts = sorted(static.glob("*.js"))
    assert len(scripts) > 10
    for path in scripts:
        source = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in source, f"{word} in {path.name}"


async def test_only_for_this_machine(workspace: Workspace) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "example.org", "::"):
        with pytest.raises(PlaygroundError):
            await Page.start(workspace, host=host)


async def test_stopping_lets_listeners_go_and_frees_the_port(workspace: Workspace) -> None:
    line = workspace.line
    page = await Page.start(workspace)
    assert page.url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession() as http, Reader(http, page.url).events("U1") as events:
        await events.next()
        async with asyncio.timeout(10):
            await page.stop()
    await page.stop()
    assert workspace.line is line
    port = int(page.url.rstrip("/").rpartition(":")[2])
    again = await Page.start(workspace, port=port)
    with pytest.raises(OSError):  # noqa: PT011
        await Page.start(workspace, port=port)
    await again.stop()
