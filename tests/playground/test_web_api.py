"""The Web API through the real client: tokens, channels, messages, errors, limits, faults."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace

pytestmark = pytest.mark.anyio

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}


async def refused(call: Any) -> Mapping[str, Any]:
    """The answer of a call that must not be ok."""
    with pytest.raises(SlackApiError) as caught:
        await call
    response = caught.value.response
    return {**response.data, "status": response.status_code, "headers": response.headers}


async def test_tokens(workspace: Workspace, client: AsyncWebClient) -> None:
    me = await client.auth_test()
    assert me["user_id"] == workspace.bot_user_id
    assert me["team_id"] == workspace.team_id
    url = workspace.api_url
    cases = [
        (AsyncWebClient(base_url=url).auth_test(), "not_authed"),
        (AsyncWebClient("xoxb-wrong", url).auth_test(), "invalid_auth"),
        (AsyncWebClient(workspace.app_token, url).auth_test(), "not_allowed_token_type"),
        (client.apps_connections_open(app_token=workspace.bot_token), "not_allowed_token_type"),
        (client.apps_connections_open(app_token="xapp-no"), "invalid_auth"),
        (client.api_call("chat.sendLove"), "unknown_method"),
    ]
    for call, error in cases:
        assert (await refused(call))["error"] == error
    assert (await AsyncWebClient(base_url=url).api_test(foo="bar"))["args"] == {"foo": "bar"}
    assert workspace.bot_token not in repr(workspace.log)


async def test_bodies_may_be_forms_or_json(workspace: Workspace) -> None:
    url = workspace.api_url + "chat.postMessage"
    form = {
        "token": workspace.bot_token,
        "channel": "C1",
        "text": "form",
        "blocks": '[{"type": "divider"}]',
    }
    headers = {"Authorization": f"Bearer {workspace.bot_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=form) as answer:
            assert (await answer.json())["ok"]
        async with session.post(
            url, json={"channel": "C1", "text": "j"}, headers=headers
        ) as answer:
            assert (await answer.json())["ok"]
        for data, content_type, error in (
            (b"{", "application/json", "invalid_json"),
            (b"[]", "application/json", "json_not_object"),
            (b"x", "text/weird", "invalid_post_type"),
        ):
            typed = headers | {"Content-Type": content_type}
            async with session.post(url, data=data, headers=typed) as answer:
                assert (await answer.json())["error"] == error
    assert [m.text for m in workspace.messages("C1")] == ["form", "j"]
    assert workspace.messages("C1")[0].blocks[0]["type"] == "divider"
    assert workspace.bot_token not in repr(workspace.log)


async def test_where_the_bot_may_post(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.add_channel("C2", "elsewhere", ["U1"], bot_member=False)
    workspace.add_channel("G2", "hidden", ["U1"], is_private=True, bot_member=False)
    workspace.add_channel("C3", "old", ["U1"])
    workspace.change_channel("C3", is_archived=True)
    for channel, error in (
        ("C2", "not_in_channel"),
        ("G2", "channel_not_found"),
        ("C9", "channel_not_found"),
        ("C3", "is_archived"),
        ("", "invalid_arguments"),
    ):
        call = client.chat_postMessage(channel=channel, text="x")
        assert (await refused(call))["error"] == error
    private = client.chat_postEphemeral
    call = private(channel="G1", user="U2", text="x")
    assert (await refused(call))["error"] == "user_not_in_channel"
    posted = await client.chat_postMessage(channel="U1", text="direct")
    assert posted["channel"] == workspace.dm("U1")
    assert [m.text for m in workspace.messages("U1")] == ["direct"]


async def test_what_a_message_must_have(workspace: Workspace, client: AsyncWebClient) -> None:
    async def error(**body: Any) -> Any:
        return (await refused(client.api_call("chat.postMessage", json=body)))["error"]

    assert await error(channel="C1") == "no_text"
    assert await error(channel="C1", text=" ") == "no_text"
    assert await error(channel="C1", text="x" * 40_001) == "msg_too_long"
    assert await error(channel="C1", text="x", blocks="{") == "invalid_blocks_format"
    assert await error(channel="C1", text="x", blocks={"type": "divider"}) == (
        "invalid_blocks_format"
    )
    assert await error(channel="C1", text="x", thread_ts="1.1") == "thread_not_found"
    assert workspace.messages("C1") == []


async def test_invalid_blocks_say_where(workspace: Workspace, client: AsyncWebClient) -> None:
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    answer = await refused(client.chat_postMessage(channel="C1", text="x", blocks=[long]))
    assert answer["error"] == "invalid_blocks"
    assert answer["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]
    workspace.faults.unsupported_blocks.add("table")
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]]}
    call = client.chat_postMessage(channel="C1", text="x", blocks=[table])
    assert (await refused(call))["error"] == "invalid_blocks"
    workspace.faults.clear()
    assert (await client.chat_postMessage(channel="C1", text="x", blocks=[table]))["ok"]


async def test_update(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C1", text="one", blocks=[SECTION]))["ts"]
    await client.api_call(
        "chat.update", json={"channel": "C1", "ts": ts, "blocks": [SECTION, SECTION]}
    )
    message = workspace.messages("C1")[0]
    assert (message.text, len(message.blocks), message.edited) == ("one", 2, True)
    await client.chat_update(channel="C1", ts=ts, text="two")
    message = workspace.messages("C1")[0]
    assert (message.text, message.blocks) == ("two", ())

    human = workspace.say("U1", "C1", "mine")
    private = await client.chat_postEphemeral(channel="C1", user="U1", text="only you")
    for other, error in (
        (human.ts, "cant_update_message"),
        (private["message_ts"], "message_not_found"),
        ("1.1", "message_not_found"),
    ):
        call = client.chat_update(channel="C1", ts=other, text="x")
        assert (await refused(call))["error"] == error
    call = client.chat_update(channel="C1", ts=ts, text="x" * 4001)
    assert (await refused(call))["error"] == "msg_too_long"
    assert (await refused(client.chat_delete(channel="C1", ts=human.ts)))["error"] == (
        "cant_delete_message"
    )
    await client.chat_delete(channel="C1", ts=ts)
    assert [m.text for m in workspace.messages("C1")] == ["mine"]


async def test_threads(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C1", text="top"))["ts"]
    reply = await client.chat_postMessage(channel="C1", text="reply", thread_ts=ts)
    await client.chat_postMessage(channel="C1", text="to the reply", thread_ts=reply["ts"])
    assert [m.text for m in workspace.messages("C1")] == ["top"]
    assert [m.text for m in workspace.thread("C1", ts)] == ["reply", "to the reply"]
    assert (await workspace.wait_for_message("C1", "reply")).thread_ts == ts


async def test_who_and_where(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.add_user("U3", "guest", is_restricted=True)
    workspace.add_user("W4", "other", team_id="T9", is_stranger=True)
    assert (await client.users_info(user="U3"))["user"]["is_restricted"] is True
    assert (await client.users_info(user="W4"))["user"]["team_id"] == "T9"
    workspace.change_user("U3", deleted=True)
    assert (await client.users_info(user="U3"))["user"]["deleted"] is True
    assert (await refused(client.users_info(user="U9")))["error"] == "user_not_found"
    listed = [u["id"] async for p in await client.users_list(limit=2) for u in p["members"]]
    assert listed == [workspace.bot_user_id, "U1", "U2", "U3", "W4"]

    workspace.change_channel("C1", is_ext_shared=True)
    info = (await client.conversations_info(channel="C1"))["channel"]
    assert (info["name"], info["is_ext_shared"], info["is_member"]) == ("registry", True, True)
    members = (await client.conversations_members(channel="C1"))["members"]
    assert members == ["U1", "U2", workspace.bot_user_id]
    public = (await client.conversations_list())["channels"]
    both = (await client.conversations_list(types="public_channel,private_channel"))["channels"]
    assert [c["id"] for c in public] == ["C1"]
    assert [c["id"] for c in both] == ["C1", "G1"]

    workspace.add_usergroup("S1", ["U1", "U2"])
    assert (await client.usergroups_users_list(usergroup="S1"))["users"] == ["U1", "U2"]
    assert (await refused(client.usergroups_users_list(usergroup="S9")))["error"] == (
        "no_such_subteam"
    )


async def test_a_burst_in_one_channel_answers_429(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    for n in range(10):
        await client.chat_postMessage(channel="C1", text=str(n))
    answer = await refused(client.chat_postMessage(channel="C1", text="too much"))
    assert (answer["status"], answer["error"]) == (429, "ratelimited")
    assert answer["headers"]["Retry-After"] == "1"
    assert (await client.chat_postMessage(channel="G1", text="elsewhere"))["ok"]
    workspace.advance(1)
    assert (await client.chat_postMessage(channel="C1", text="again"))["ok"]
    assert len(workspace.messages("C1")) == 11
    workspace.limits.enabled = False
    for n in range(20):
        await client.chat_postMessage(channel="C1", text=str(n))


async def test_budgets_of_methods(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.limits.set("users.info", 2)
    await client.users_info(user="U1")
    await client.users_info(user="U1")
    answer = await refused(client.users_info(user="U1"))
    assert answer["status"] == 429
    assert answer["headers"]["Retry-After"] == "30"
    workspace.limits.reset()
    assert (await client.users_info(user="U1"))["ok"]


async def test_planned_failures(workspace: Workspace, client: AsyncWebClient) -> None:
    post: Callable[[], Any] = lambda: client.chat_postMessage(channel="C1", text="x")  # noqa: E731
    workspace.faults.fail("chat.postMessage", error="restricted_action")
    workspace.faults.fail("chat.postMessage", status=503)
    workspace.faults.fail("chat.postMessage", status=429, retry_after=7)
    first, second, third = [await refused(post()) for _ in range(3)]
    assert (first["status"], first["error"]) == (200, "restricted_action")
    assert (second["status"], second["error"]) == (503, "service_unavailable")
    assert (third["status"], third["headers"]["Retry-After"]) == (429, "7")
    assert workspace.messages("C1") == []
    workspace.faults.fail("chat.postMessage", status=500, after=True)
    assert (await refused(post()))["error"] == "internal_error"
    assert len(workspace.messages("C1")) == 1
    workspace.faults.fail("*", status=0)
    with pytest.raises(aiohttp.ClientError):
        await AsyncWebClient(client.token, client.base_url, retry_handlers=[]).chat_postMessage(
            channel="C1", text="x"
        )
    assert (await post())["ok"]
    assert [c.status for c in workspace.calls("chat.postMessage")] == [200, 503, 429, 500, 0, 200]


async def test_a_rule_fails_what_it_means_until_it_is_cleared(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    workspace.faults.fail_where(
        lambda method, told: method == "chat.postMessage" and told.get("channel") == "C1",
        error="is_archived",
    )
    for _ in range(2):
        with pytest.raises(SlackApiError) as refused:
            await client.chat_postMessage(channel="C1", text="x")
        assert refused.value.response["error"] == "is_archived"
    await client.chat_postMessage(channel="U1", text="x")
    workspace.faults.clear()
    await client.chat_postMessage(channel="C1", text="x")


async def test_the_sdk_retries_after_429(workspace: Workspace, client: AsyncWebClient) -> None:
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    workspace.faults.fail("chat.postMessage", status=429, retry_after=0)
    await client.chat_postMessage(channel="C1", text="x")
    assert [c.status for c in workspace.calls("chat.postMessage")] == [429, 200]


async def test_delays_and_holds(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.faults.delay("auth.test", 0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await client.auth_test()
    assert loop.time() - began >= 0.05
    hold = workspace.faults.hold("chat.postMessage")
    call = asyncio.ensure_future(client.chat_postMessage(channel="C1", text="x"))
    await hold.arrived.wait()
    assert workspace.messages("C1") == []
    hold.release()
    await call
    assert len(workspace.messages("C1")) == 1


async def test_stopping_twice_is_fine_and_frees_the_port() -> None:
    workspace = await Workspace.start()
    port = int(workspace.api_url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="in use"):
        await Workspace.start(port=port)
    await workspace.stop()
    await workspace.stop()
    again = await Workspace.start(port=port)
    await again.stop()
