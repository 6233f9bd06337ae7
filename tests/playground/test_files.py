"""File uploads: files_upload_v2, and each step on its own."""

import io
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace

pytestmark = pytest.mark.anyio


async def refused(call: Any) -> str:
    """The error of a call that must not be ok."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_files_upload_v2(workspace: Workspace, client: AsyncWebClient) -> None:
    uploaded = await client.files_upload_v2(
        filename="tags.csv",
        content="a,b\n1,2\n",
        title="Tags",
        channel="C1",
        initial_comment="all tags",
    )
    assert uploaded["file"]["title"] == "Tags"
    message = workspace.messages("C1")[0]
    assert message.text == "all tags"
    assert [(f.name, f.content) for f in message.files] == [("tags.csv", b"a,b\n1,2\n")]
    assert "Tags" in message.all_text


async def test_uploads_that_go_wrong(workspace: Workspace, client: AsyncWebClient) -> None:
    for name, length in (("x", 0), ("", 3)):
        call = client.files_getUploadURLExternal(filename=name, length=length)
        assert await refused(call) == "invalid_arguments"
    given = await client.files_getUploadURLExternal(filename="x", length=3)
    complete = client.files_completeUploadExternal
    call = complete(files=[{"id": given["file_id"], "title": "x"}], channel_id="C1")
    assert await refused(call) == "file_not_found"
    async with aiohttp.ClientSession() as session:
        async with session.post(given["upload_url"], data=b"four") as answer:
            assert answer.status == 400
        async with session.post(given["upload_url"], data={"file": io.BytesIO(b"abc")}) as answer:
            assert (answer.status, await answer.text()) == (200, "OK - 3")
        async with session.post(given["upload_url"], data=b"abc") as answer:
            assert answer.status == 404
    call = complete(files=[{"id": given["file_id"], "title": "x"}], channel_id="C9")
    assert await refused(call) == "channel_not_found"
    await complete(files=[{"id": given["file_id"], "title": "x"}], channel_id="C1")
    assert workspace.messages("C1")[0].files[0].content == b"abc"
