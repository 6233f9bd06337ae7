"""response_urls: five posts, thirty minutes, and what each may do."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.playground import Workspace

pytestmark = pytest.mark.anyio

BUTTON = {
    "type": "button",
    "text": {"type": "plain_text", "text": "Go"},
    "action_id": "go",
    "value": "v",
}
BLOCKS = [{"type": "actions", "elements": [BUTTON]}]


@pytest.fixture
async def urls(workspace: Workspace, app: AsyncApp, connect: Any) -> list[str]:
    """The response_urls of everything that comes in."""
    found: list[str] = []

    @app.command("/registry")
    async def command(ack: Any, body: Any) -> None:
        found.append(body["response_url"])
        await ack()

    @app.action("go")
    async def go(ack: Any, body: Any) -> None:
        found.append(body["response_url"])
        await ack()

    await connect(app)
    return found


async def test_five_posts(workspace: Workspace, urls: list[str]) -> None:
    await workspace.command("U1", "C1", "x")
    hook = AsyncWebhookClient(urls[0])
    bad = await hook.send(text="x", blocks=[{"type": "nonsense"}])
    assert bad.status_code == 400
    assert "invalid_blocks" in bad.body
    for n in range(5):
        answer = await hook.send(text=f"answer {n}")
        assert (answer.status_code, answer.body) == (200, "ok")
    sixth = await hook.send(text="sixth")
    assert sixth.status_code == 404
    assert "used_url" in sixth.body
    assert [m.text for m in workspace.ephemerals("U1")] == [f"answer {n}" for n in range(5)]
    assert len(workspace.calls("response_url")) == 7


async def test_thirty_minutes(workspace: Workspace, urls: list[str]) -> None:
    await workspace.command("U1", "C1", "x")
    hook = AsyncWebhookClient(urls[0])
    workspace.advance(1799)
    assert (await hook.send(text="in time")).status_code == 200
    workspace.advance(2)
    late = await hook.send(text="late")
    assert late.status_code == 404
    assert "expired_url" in late.body
    unknown = await AsyncWebhookClient(workspace.hooks_url + "nobody").send(text="x")
    assert unknown.status_code == 404


async def test_in_channel_and_what_a_command_cannot_do(
    workspace: Workspace, urls: list[str]
) -> None:
    await workspace.command("U1", "C1", "x")
    hook = AsyncWebhookClient(urls[0])
    await hook.send(text="for all", response_type="in_channel")
    assert [m.text for m in workspace.messages("C1")] == ["for all"]
    await hook.send(text="a new one", replace_original=True)
    assert [m.text for m in workspace.messages("C1")] == ["for all"]
    assert [m.text for m in workspace.ephemerals("U1")] == ["a new one"]
    assert (await hook.send(delete_original=True)).status_code == 400
    assert "no_text" in (await hook.send(response_type="ephemeral")).body


async def test_a_click_can_replace_and_delete_its_message(
    workspace: Workspace, client: AsyncWebClient, urls: list[str]
) -> None:
    await client.chat_postMessage(channel="C1", text="?", blocks=BLOCKS)
    await client.chat_postEphemeral(channel="C1", user="U1", text="?", blocks=BLOCKS)
    for message in (*workspace.messages("C1"), *workspace.ephemerals("U1")):
        assert (await workspace.click("U1", message, "Go")).acked
        hook = AsyncWebhookClient(urls[-1])
        await hook.send(text="beside")
        assert workspace.message(message) == message
        await hook.send(text="new", replace_original=True)
        replaced = workspace.message(message)
        assert replaced is not None
        assert (replaced.text, replaced.blocks, replaced.ephemeral) == (
            "new",
            (),
            message.ephemeral,
        )
        await hook.send(delete_original=True)
        assert workspace.message(message) is None
        assert (await hook.send(text="x", replace_original=True)).status_code == 400


async def test_faults_hit_response_urls_too(workspace: Workspace, urls: list[str]) -> None:
    await workspace.command("U1", "C1", "x")
    hook = AsyncWebhookClient(urls[0])
    workspace.faults.fail("response_url", status=500)
    workspace.faults.fail("response_url", status=429, retry_after=3)
    assert (await hook.send(text="x")).status_code == 500
    limited = await hook.send(text="x")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    assert (await hook.send(text="x")).status_code == 200
