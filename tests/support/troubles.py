"""Everything that is known to go wrong before and inside a registry, each as one switch."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.faults import ALWAYS, Faults
from tests.support.images import digest_of

_SHORT = 0.5
_AGAIN = 1.0

ELSEWHERE_REALM = 'Bearer realm="{elsewhere}/token",service="x",scope="registry:catalog:*"'


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to misbehave.

    `set(faults, pattern, elsewhere, times)` switches it on for the requests that a pattern fits;
    `elsewhere` is the address of another server. `passes`: whoever asks again after one such
    answer gets what was asked for. `patience` is a good deadline to live through it, in seconds:
    long enough for a busy machine where nothing has to be waited for.
    """

    name: str
    set: Callable[[Faults, str, str, int], None]
    passes: bool = False
    patience: float = 10.0

    def always(self, faults: Faults, pattern: str, elsewhere: str) -> None:
        """Until `heal`."""
        self.set(faults, pattern, elsewhere, ALWAYS)

    def once(self, faults: Faults, pattern: str, elsewhere: str) -> None:
        """For one request."""
        self.set(faults, pattern, elsewhere, 1)


def _status(
    status: int, passes: bool = False, body: bytes = b"", name: str = "", **headers: str
) -> Trouble:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Trouble(
        name or f"{status}",
        lambda f, p, _, n: f.fail(p, status, times=n, headers=sent, body=body),
        passes,
        _AGAIN if passes else 10.0,
    )


def _challenge(f: Faults, p: str, elsewhere: str, n: int) -> None:
    sent = {"WWW-Authenticate": ELSEWHERE_REALM.format(elsewhere=elsewhere)}
    f.fail(p, 401, times=n, headers=sent)


def _loop(f: Faults, p: str, elsewhere: str, n: int) -> None:
    f.link(p, "/v2/_catalog?n=1000", n)


_OTHER = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'

TROUBLES = (
    # Time.
    Trouble("late", lambda f, p, _, n: f.delay(p, 0.1, n), True),
    Trouble("silent", lambda f, p, _, n: f.delay(p, 3600.0, n), patience=_SHORT),
    Trouble("dripping", lambda f, p, _, n: f.drip(p, 0.05, times=n), patience=_SHORT),
    Trouble(
        "dripping head", lambda f, p, _, n: f.drip(p, 0.05, head=True, times=n), patience=_SHORT
    ),
    # Refusals.
    _status(429, True),
    _status(429, True, name="429, at once", Retry_After="0"),
    _status(429, name="429, in ten years", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"),
    _status(429, True, name="429, garbage", Retry_After="soon; 12e9999, 99999999999999 BC"),
    _status(500, body=b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{}}]}'),
    _status(502, True),
    _status(503, True, body=b'{"errors":"many"}'),
    _status(404, name="404 without a reason"),
    _status(403, body=b"\xff\xfe" * 100),
    _status(401, name="401 for ever", WWW_Authenticate='Basic realm="x"'),
    Trouble("401 to a token server elsewhere", _challenge),
    # Connections.
    Trouble("reset before", lambda f, p, _, n: f.drop(p, n), True, _AGAIN),
    Trouble("reset after", lambda f, p, _, n: f.lose_answer(p, n), True, _AGAIN),
    Trouble("truncated", lambda f, p, _, n: f.truncate(p, n), True, _AGAIN),
    Trouble("not HTTP", lambda f, p, _, n: f.garbage(p, n)),
    Trouble("HTTP/1.0", lambda f, p, _, n: f.http10(p, times=n), True),
    Trouble("HTTP/1.0, cut", lambda f, p, _, n: f.http10(p, cut=True, times=n)),
    # Lies.
    Trouble("wrong digest", lambda f, p, _, n: f.wrong_digest(p, n)),
    Trouble("no digest", lambda f, p, _, n: f.header(p, "Docker-Content-Digest", "", n), True),
    Trouble("flipped bits", lambda f, p, _, n: f.flip(p, n)),
    Trouble("another body", lambda f, p, _, n: f.swap(p, _OTHER, n)),
    Trouble("wrong type", lambda f, p, _, n: f.header(p, "Content-Type", "text/html", n)),
    Trouble("a page", lambda f, p, _, n: f.page(p, 200, n)),
    Trouble("a page, 502", lambda f, p, _, n: f.page(p, 502, n), True, _AGAIN),
    Trouble("nothing", lambda f, p, _, n: f.fail(p, 200, times=n)),
    Trouble("204", lambda f, p, _, n: f.fail(p, 204, times=n)),
    Trouble("304", lambda f, p, _, n: f.fail(p, 304, times=n)),
    Trouble("null", lambda f, p, _, n: f.swap(p, b"null", n)),
    Trouble("looping link", _loop),
    Trouble("link elsewhere", lambda f, p, e, n: f.link(p, f"{e}/v2/_catalog?n=1", n)),
    Trouble("307 elsewhere", lambda f, p, e, n: f.redirect(p, e, 307, n)),
    Trouble("301 elsewhere", lambda f, p, e, n: f.redirect(p, e, 301, n)),
    Trouble("308 to nothing", lambda f, p, _, n: f.fail(p, 308, times=n)),
    # Size.
    Trouble("endless", lambda f, p, _, n: f.endless(p, n), patience=_AGAIN),
    Trouble("gzip bomb", lambda f, p, _, n: f.bomb(p, 64 << 20, n)),
)

SOMETHING_ELSE = digest_of(b"something else")
"""What the trouble "wrong digest" announces."""
