"""File uploads in three steps: ask for an address, send the bytes, complete."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.playground.arguments import Arguments, needed, parsed
from bot.playground.chat import shape
from bot.playground.model import Channel, File, SlackError
from bot.playground.state import State


@dataclass(slots=True)
class _Upload:
    id: str
    name: str
    length: int
    content: bytes | None = None


class Files:
    """The methods under `files.`, and the address that takes the bytes."""

    def __init__(self, state: State) -> None:
        self.base = ""
        self._state = state
        self._uploads: dict[str, _Upload] = {}

    def get_url(self, arguments: Arguments) -> Mapping[str, Any]:
        """files.getUploadURLExternal."""
        name = needed(arguments, "filename")
        try:
            length = int(needed(arguments, "length"))
        except ValueError:
            length = 0
        if length <= 0:
            raise SlackError("invalid_arguments", ["must be more than 0 [json-pointer:/length]"])
        key = secrets.token_urlsafe(24)
        self._uploads[key] = _Upload(f"F{self._state.number():07d}", name, length)
        return {"upload_url": self.base + key, "file_id": self._uploads[key].id}

    def receive(self, key: str, content: bytes) -> tuple[int, str]:
        """The bytes of a file; HTTP status and text of the answer."""
        upload = self._uploads.get(key)
        if upload is None or upload.content is not None:
            return 404, "no such upload"
        if len(content) != upload.length:
            return 400, f"expected {upload.length} bytes, got {len(content)}"
        upload.content = content
        return 200, f"OK - {len(content)}"

    def complete(self, arguments: Arguments) -> Mapping[str, Any]:
        """files.completeUploadExternal: shares the files in one message of each channel."""
        asked = parsed(arguments, "files", "invalid_arguments")
        if not isinstance(asked, list) or not asked:
            raise SlackError("invalid_arguments", ["missing required field: files"])
        files = [self._finished(item) for item in asked]
        named = str(arguments.get("channels") or arguments.get("channel_id") or "")
        channels = [self._state.writable(c) for c in named.split(",") if c]
        for key in [k for k, u in self._uploads.items() if u.id in {f.id for f in files}]:
            del self._uploads[key]
        shared = [self._share(channel, files, arguments) for channel in channels]
        shown = [{"id": f.id, "name": f.name, "title": f.title} for f in files]
        return {"files": shown, "messages": shared}

    def _finished(self, item: Any) -> File:
        wanted = str(item.get("id", "")) if isinstance(item, Mapping) else ""
        for upload in self._uploads.values():
            if upload.id == wanted and upload.content is not None:
                title = str(item.get("title") or upload.name)
                return File(upload.id, upload.name, title, upload.content)
        raise SlackError("file_not_found")

    def _share(self, channel: Channel, files: list[File], arguments: Arguments) -> Any:
        message = self._state.post(
            channel,
            self._state.identity.bot_user_id,
            str(arguments.get("initial_comment") or ""),
            thread_ts=str(arguments.get("thread_ts") or ""),
            files=files,
        )
        return shape(self._state, message)
