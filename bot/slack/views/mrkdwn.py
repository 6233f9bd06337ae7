"""Mrkdwn read back as plain text: what a terminal shows of what was written for Slack."""

import re
import shlex
from collections.abc import Iterator

from bot.slack.limits import plain

BOLD, RESET = "\x1b[1m", "\x1b[0m"
_ALL = 1_000_000

_TOKENS = re.compile(
    r"```\n?(?P<fence>.*?)\n?```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<link>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|:(?P<emoji>[a-z0-9_+-]+):",
    re.DOTALL,
)
_SYMBOLS = {
    "white_check_mark": "✔",
    "large_green_circle": "✔",
    "heavy_multiplication_x": "✘",
    "x": "✘",
    "no_entry": "✘",
    "no_entry_sign": "✘",
    "red_circle": "✘",
    "warning": "!",
    "octagonal_sign": "!",
    "rotating_light": "!!",
    "arrow_forward": ">",
    "white_small_square": "-",
    # These only decorate what the words beside them say.
    "gear": "",
    "hourglass": "",
    "hourglass_flowing_sand": "",
    "leftwards_arrow_with_hook": "",
    "lock": "",
    "wastebasket": "",
}
_SLASH = "/registry"


def to_text(mrkdwn: str, *, bold: bool = False) -> str:
    """Everything decoded, and nothing in it that could steer a terminal.

    Commands for Slack (`/registry …`) become the ones that do the same on this host.

    Parameters
    ----------
    bold : whether the terminal may be told to write bold.
    """
    return "".join(_pieces(plain(mrkdwn, _ALL), bold))


def _pieces(text: str, bold: bool) -> Iterator[str]:
    end = 0
    for found in _TOKENS.finditer(text):
        yield _decoded(text[end : found.start()])
        end = found.end()
        match found.lastgroup:
            case "fence":
                # On lines of its own: it is there to be read, or copied, as it is.
                lead = "" if found.start() == 0 or text[found.start() - 1] == "\n" else "\n"
                trail = "" if end == len(text) or text[end] == "\n" else "\n"
                yield f"{lead}{_decoded(found['fence'])}{trail}"
            case "code":
                yield _command(_decoded(found["code"]))
            case "link":
                yield _link(found["link"])
            case "bold":
                inner = "".join(_pieces(found["bold"], bold=False))
                yield f"{BOLD}{inner}{RESET}" if bold else inner
            case _:
                symbol = _SYMBOLS.get(found["emoji"], found[0])
                yield symbol
                if not symbol and text[end : end + 1] == " ":
                    end += 1
    yield _decoded(text[end:])


def _decoded(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _command(code: str) -> str:
    if code != _SLASH and not code.startswith(f"{_SLASH} "):
        return code
    words = code.removeprefix(_SLASH).strip() or "help"
    if re.search(r"[\"$\\!]", words):
        return f"registry-bot run {shlex.quote(words)}"
    return f'registry-bot run "{words}"'


def _link(inner: str) -> str:
    """What `<…>` stands for: people and channels by their ids, dates in words, addresses."""
    target, _, label = inner.partition("|")
    target, label = _decoded(target), _decoded(label)
    kind, rest = target[:1], target[1:]
    if kind in "@#":
        return f"{kind}{label.lstrip('@#') or rest}"
    if kind == "!":
        return label or f"@{rest.partition('^')[0]}"
    return f"{label} ({target})" if label and label != target else target
