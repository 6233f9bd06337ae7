"""Undoes what phones, word processors and Slack do to a typed command."""

import re

_LONG = "—–―‒−⸺"
# Only where a flag can stand: in a reason, "old – unused" must not turn into one.
_FLAG = re.compile(rf"(?<!\S)-*[{_LONG}][-{_LONG}]*(?=[^\W\d])")
_SPACES = re.compile(r"[\u0085\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\t-\r\u2028\u2029]")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_LINK = re.compile(r"<(?:(?:https?|ftp)://|mailto:|tel:)([^|<>]*)(?:\|([^<>]*))?>")
_MENTION = re.compile(r"<([@#!])([^|<>]*)(?:\|([^<>]*))?>")
_CHARACTERS = str.maketrans(
    dict.fromkeys("“”„‟«»″〝〞＂", '"')
    | dict.fromkeys("‘’‚‛′´", "'")
    | dict.fromkeys("‐‑﹣－", "-")
    | {"`": ""}
)


def clean(text: str) -> str:
    """The command as it was meant, on one line.

    Dashes that stand for `--` before a flag become it, smart quotes become plain ones, backticks
    and invisible characters go, every kind of space becomes a plain one, Slack's automatic links
    become what was typed, and `&amp;`, `&lt;`, `&gt;` become `&`, `<`, `>`.
    """
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    # Slack shows `<http://host|host>` for a host somebody typed: the second half is what it was.
    text = _LINK.sub(lambda m: m.group(2) or m.group(1), text)
    # In this order, or a typed "&lt;" (sent as "&amp;lt;") would come out as "<".
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return _FLAG.sub("--", text.translate(_CHARACTERS)).strip()


def hyphens(name: str) -> str:
    """A repository, tag or pattern as it was meant: no name has a long dash, some have `--`."""
    return name.replace("—", "--").replace("–", "--")


def spoken(text: str) -> str:
    """Free text for people: Slack's `<@U123|ann>` and `<#C123|ops>` become `@ann` and `#ops`."""
    return _MENTION.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    sign, target, label = found.groups()
    name = label or target
    # The label of a user group has its @ already; <!here> has neither label nor sign.
    sign = "@" if sign == "!" else sign
    return name if name.startswith(sign) else sign + name
