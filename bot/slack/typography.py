"""Undoes what phones, word processors and Slack do to a typed command."""

import re

_DASHES = re.compile(r"(?<!\S)[—–―‒−](?=[^\W\d])|(?<!\S)[—–―‒−]{2}|(?<!\S)-[—–―‒−](?=\w)")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\t\r\n\v\f\u2028\u2029]")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_LINK = re.compile(r"<(?:https?://|mailto:)([^|<>]*)(?:\|([^<>]*))?>")
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»″〝〞", '"') | dict.fromkeys("‘’‚‛′", "'"))


def clean(text: str) -> str:
    """The command as it was meant.

    Dashes that stand for `--` become it, smart quotes become plain ones, backticks go, Slack's
    automatic links become what was typed, and `&amp;`, `&lt;`, `&gt;` become `&`, `<`, `>`.
    """
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    # Slack shows `<http://host|host>` for a host somebody typed: the second half is what it was.
    text = _LINK.sub(lambda m: m.group(2) or m.group(1), text)
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    text = text.translate(_QUOTES).replace("`", "")
    return _DASHES.sub("--", text).strip()
