"""What must hold for every message the bot makes, and requests to make messages of."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.registry.manifest import OCI_INDEX, OCI_MANIFEST
from bot.rules.approval import Decision, Item, ItemState, Request, State, Window, WindowState
from bot.rules.plan import DeletionPlan, Parent, PlannedDigest
from bot.slack.limits import problems, problems_of_view
from bot.slack.views.blocks import cell_text, without_new_blocks

ANN, BOB, CAT = "U0ANN", "U0BOB", "U0CAT"
NOW = 1_750_000_000.0
LONG_TAG = "t" * 128
LONG_REPOSITORY = "/".join(["r" * 50] * 5)  # 254 characters
LONG = "x" * 10_000

HOSTILE = (
    "<!channel>",
    "<!here|here>",
    "<@U123>",
    "<@U123|ann>",
    "<#C123>",
    "<https://evil.example|a link>",
    "`PWNED`",
    "``` PWNED ```",
    "a ` b",
    "*PWNED*",
    "a & b &amp; c",
    "line\n:white_check_mark: PWNED\r\nline",
    "\u202egnp.exe\u202c \u200bPWNED\x00\x07",
    ">quote",
    "<" * 50,
    "&" * 400,
    "`" * 501,
    LONG,
    "<!channel> `" * 900,
    "",
    " ",
)
"""Texts as somebody writes them who wants to be more than text."""

_OURS = re.compile(
    r"<@(?:U0ANN|U0BOB|U0CAT|U0DAN|U0[0-9]{3})>"
    r"|<!subteam\^S0(?:LEADS|ONCALL)>|<#C0AUDIT>"
    r"|<!date\^\d+\^\{date_short_pretty\} \{time\}\|[0-9: UTC-]+>"
)
_CODE = re.compile(r"```.+?```|`[^`\n]+`", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def texts(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Type and text of everything in the blocks of a message that is read."""
    for block in message["blocks"]:
        if block["type"] == "table":
            for row in block["rows"]:
                for cell in row:
                    yield "raw_text", cell_text(cell)
        if block["type"] in {"section", "header"}:
            yield block["text"]["type"], block["text"]["text"]
        for element in [*block.get("elements", ()), block.get("accessory", {})]:
            if element.get("type") == "mrkdwn":
                yield "mrkdwn", element["text"]
            elif element.get("type") == "button":
                yield "button", element["text"]["text"]


def read(message: Mapping[str, Any]) -> str:
    """All texts of the blocks, as one."""
    return "\n".join(text for kind, text in texts(message) if kind != "button")


def buttons(message: Mapping[str, Any]) -> list[str]:
    """The labels of all buttons."""
    return [text for kind, text in texts(message) if kind == "button"]


def outside_code(text: str) -> str:
    """What remains of mrkdwn when code is taken out."""
    return _CODE.sub("", text)


def check(message: Mapping[str, Any]) -> None:
    """Fail unless Slack takes the message, and nothing in it is alive but what we made so."""
    for shown in (message, without_new_blocks(message)):
        found = problems(shown)
        assert not found, found
        for kind, text in [("mrkdwn", shown["text"]), *texts(shown)]:
            _check_text(kind, text)
    # Slack refuses messages of more than about 12,000 characters, however they are divided.
    long = sum(len(text) for kind, text in texts(message) if kind != "raw_text")
    assert long <= 11_100, f"{long} characters in all"
    assert all(block["text"].get("verbatim") for block in message["blocks"] if "text" in block)


def check_view(view: Mapping[str, Any]) -> None:
    """Fail unless Slack takes the modal or home tab, and nothing in it is alive but ours."""
    found = problems_of_view(view)
    assert not found, found
    for kind, text in texts(view):
        _check_text(kind, text)
    assert len(json.dumps(view)) < 250_000, "Slack takes no larger view"


def _check_text(kind: str, text: str) -> None:
    assert not _CONTROL.search(text), "a control character"
    if kind == "mrkdwn":
        rest = _OURS.sub("", text)
        assert "<" not in rest, f"live markup: {rest[max(0, rest.index('<') - 20) :][:90]}"
        assert not re.search(r"&(?!amp;|lt;|gt;)", rest), "an ampersand that is no entity"
        assert "`" not in outside_code(text), f"code that is not closed: {text[:300]!r}"


def digest(number: int) -> str:
    """A digest that can be told from the others."""
    return f"sha256:{number:064x}"


def planned(number: int, tags: Sequence[str] = ("v1",), **changes: Any) -> PlannedDigest:
    """One digest of a plan."""
    made = PlannedDigest(
        repository="team/api",
        digest=digest(number),
        media_type=OCI_MANIFEST,
        is_index=False,
        tags=tuple(tags),
        kept_tags=(),
        parents=(),
        signatures=(),
        platforms=(),
        children=(),
        missing_children=(),
        size=12_345_678,
    )
    return dataclasses.replace(made, **changes)


def everything(number: int, tags: Sequence[str] = ("v1",), **changes: Any) -> PlannedDigest:
    """A digest with all that a plan can say of it."""
    return planned(
        number,
        tags,
        **{
            "is_index": True,
            "media_type": OCI_INDEX,
            "kept_tags": ("stable", "latest"),
            "parents": (Parent(digest(900), ("multi",)), Parent(digest(901), ())),
            "signatures": (f"sha256-{number:064x}.sig",),
            "platforms": ("linux/amd64", "linux/arm64/v8"),
            "children": (digest(902), digest(903)),
            **changes,
        },
    )


def made(action: str, state: State = State.PENDING, **changes: Any) -> Request:
    """A request of Ann's that Bob and Cat decide on; `digests` make its plan and items."""
    digests: Sequence[PlannedDigest] = changes.pop("digests", (planned(1, ("v1", "v2")),))
    warnings = tuple(changes.pop("warnings", ()))
    plan: dict[str, Any] = {}
    items: tuple[Item, ...] = ()
    about = changes.pop("cleanup", {})
    if action in {"delete", "cleanup", "purge"}:
        plan = DeletionPlan(action, "corp", tuple(digests), 1_000_000, "", warnings).as_json()
        items = items_of(digests)
    if action == "cleanup":
        spec = {"keep": [{"tags": ["v*"], "most_recent_count": 2}], "match": "", "rules": ["ci"]}
        asked = {"repository": "team/api", "spec": spec, "left_out": "1 gone (v0)"}
        plan = {**plan, "cleanup": {**asked, **about}}
    elif action == "undo":
        items = items_of(digests, ItemState.WAITING)
    elif action == "purge request":
        plan = {"windows": [["team/api", digest(1), 5_000_000], ["team/api", digest(2), 1]]}
    elif action == "gc":
        plan = collection_plan()
    elif action == "lock":
        plan = {"verb": "lock", "repository": "team/api", "seconds": 7200.0}
    request = Request(
        id=42,
        token="a-token-that-nobody-guesses-0123456789",
        registry="corp",
        action=action,
        state=state,
        requester=ANN,
        team="T0TEAM",
        channel="C0OPS",
        message_ts="1.2",
        reason="it leaks",
        plan=plan,
        rule="default",
        rule_fingerprint="f" * 64,
        approval="required",
        approvals_needed=1,
        approvers=(BOB, CAT),
        allow_self_approval=False,
        execute_within=600.0,
        undo_window=86400.0,
        created_at=NOW,
        expires_at=NOW + 3600,
        decided_at=None if state is State.PENDING else NOW + 60,
        finished_at=None if state.is_open else NOW + 120,
        undo_until=None,
        subject=7 if action in {"undo", "purge request"} else None,
        abort_by="",
        progress={},
        result={},
        items=items,
    )
    return dataclasses.replace(request, **changes)


def items_of(
    digests: Sequence[PlannedDigest], state: ItemState = ItemState.WAITING, detail: str = ""
) -> tuple[Item, ...]:
    """An item for each tag of a plan, or for a digest without tags."""
    named = [(d, tag) for d in digests for tag in (d.tags or ("",))]
    return tuple(
        Item(n, d.repository, tag, d.digest, state, "", detail) for n, (d, tag) in enumerate(named)
    )


def collection_plan(**changes: Any) -> dict[str, Any]:
    """The plan of a collection."""
    return {
        "delete_untagged": False,
        "preview": {"blobs": 12, "bytes": 3_400_000, "manifests": []},
        "note": "",
        "windows": [],
        "until": {},
        "mode": "read-only",
        "unsafe": False,
        **changes,
    }


def window(number: int, state: WindowState = WindowState.OPEN, holder: str = "") -> Window:
    """The undo window of one digest."""
    return Window(42, "corp", "team/api", digest(number), state, NOW + 86400, 5_000_000, holder)


def decision(user: str, *, approves: bool = True, reason: str = "") -> Decision:
    """What somebody said."""
    return Decision(user, "T0TEAM", approves, reason, NOW + 30)


STATES = tuple(State)
ACTIONS = ("delete", "cleanup", "purge", "purge request", "undo", "gc", "lock")
