"""The settings of the playground's bot: a real registry-bot.toml, for people to look at."""

import json
from collections.abc import Sequence
from pathlib import Path

from bot.demo.cast import AUDIT, BOB, CAT, DEE, OPS
from bot.demo.server import Server

NAME = "local"

_TEXT = """\
# The settings of the bot in the playground. They are written anew at each start.

[slack]
mode = "socket"
listen = "127.0.0.1:0"

[store]
url = {store}

[[registries]]
name = {name}
url = {url}
probe_repository = "probe/uploads"

  [registries.gc]
  executor = "command"
  mode = "read-only"
  collect = {collect}
  config = {config}
  start_read_only = {read_only}
  start = {read_write}
  stop = {stop}
  running = {running}
  storage_root = {storage}

[groups]
oncall = {{ users = {oncall} }}
leads = {{ users = {leads} }}

[[channels]]
id = {channel}
registries = [{name}]

[[protected]]
repositories = ["prod/**"]

[defaults]
undo_window = "24h"

[[rules]]
name = "ci scratch"
actions = ["delete", "cleanup"]
repositories = ["ci/**"]
requesters = ["anyone"]
approval = "confirm"

# Two steps: somebody on call and a lead, and nobody counts for both.
[[rules]]
name = "the web team's leads agree"
actions = ["delete", "cleanup", "purge"]
repositories = ["team/web"]
requesters = ["anyone"]
approval = "required"
steps = [
  {{ approvers = ["oncall"], approvals_needed = 1 }},
  {{ approvers = ["leads"], approvals_needed = 1 }},
]

[[rules]]
name = "restoring is free"
actions = ["undo"]
requesters = ["anyone"]
approval = "confirm"

[[rules]]
name = "default"
actions = ["delete", "cleanup", "purge", "gc", "lock"]
requesters = ["anyone"]
approval = "required"
steps = [{{ approvers = ["oncall"], approvals_needed = 1 }}]

[emergency]
enabled = true
actions = ["gc", "delete", "purge request"]
requesters = ["oncall"]
min_reason_length = 20
notify = ["leads"]

[[retention]]
name = "pull requests"
repositories = ["ci/**"]
keep = [{{ tags = ["pr-*"], most_recent_count = 10 }}]

[audit]
anchor_channel = {audit}
"""


def write(directory: Path, server: Server) -> Path:
    """Write registry-bot.toml for a registry into a directory, and return its path."""
    path = directory / "registry-bot.toml"
    text = _TEXT.format(
        name=_text(NAME),
        url=_text(server.url),
        store=_text(f"sqlite:///{directory}/bot.db"),
        collect=_words(server.collect),
        config=_text(str(server.config)),
        read_only=_words(server.control("read-only")),
        read_write=_words(server.control("read-write")),
        stop=_words(server.control("stop")),
        running=_words(server.running),
        storage=_text(str(server.storage)),
        oncall=_words((BOB.id, CAT.id)),
        leads=_words((CAT.id, DEE.id)),
        channel=_text(OPS[0]),
        audit=_text(AUDIT[0]),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _text(value: str) -> str:
    # A string of JSON is one of TOML too, as long as nothing is written as surrogates.
    return json.dumps(value, ensure_ascii=False)


def _words(values: Sequence[str]) -> str:
    return json.dumps(list(values), ensure_ascii=False)
