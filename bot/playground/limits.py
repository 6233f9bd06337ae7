"""How often an app may call: per method, and per channel for posts; sized like Slack's tiers."""

import math
from dataclasses import dataclass, field

from bot.playground.model import SlackError
from bot.playground.state import Clock

_TIER_2, _TIER_3, _TIER_4 = 20, 50, 100
_PER_MINUTE = {
    "apps.connections.open": 10,  # tier 1 ("1+"), which in practice takes a handful of reconnects
    "chat.update": _TIER_3,
    "chat.delete": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.list": _TIER_2,
    "users.list": _TIER_2,
    "usergroups.users.list": _TIER_2,
    "files.getUploadURLExternal": _TIER_4,
    "files.completeUploadExternal": _TIER_4,
    "api.test": 600,
    "auth.test": 600,
    "chat.postMessage": 600,  # the limit of the workspace; the channel's is the one people meet
}


@dataclass(slots=True)
class _Bucket:
    """Holds `size` calls and fills up again by `rate` a second."""

    size: float
    rate: float
    level: float
    at: float

    def take(self, now: float) -> float:
        """Seconds until a call is allowed; 0 takes it."""
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level >= 1.0:
            self.level -= 1.0
            return 0.0
        return (1.0 - self.level) / self.rate


@dataclass(slots=True)
class Limits:
    """Budgets of calls. A minute's worth may come at once; then calls answer 429.

    `enabled = False` lets everything through. `posts_per_second` and `post_burst` hold for
    `chat.postMessage` and `chat.postEphemeral` in each channel. `set` changes one method's budget.
    """

    clock: Clock
    enabled: bool = True
    posts_per_second: float = 1.0
    post_burst: int = 10
    _per_minute: dict[str, float] = field(default_factory=lambda: dict(_PER_MINUTE))
    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict)

    def set(self, method: str, per_minute: float) -> None:
        """Give `method` another budget, full from now on."""
        self._per_minute[method] = per_minute
        self._buckets.pop((method, ""), None)

    def reset(self) -> None:
        """Fill every budget up again."""
        self._buckets.clear()

    def take(self, method: str, channel: str) -> None:
        """Count a call.

        Raises
        ------
        SlackError : `ratelimited`, status 429, with whole seconds in `retry_after`.
        """
        if not self.enabled:
            return
        per_minute = self._per_minute.get(method, _TIER_4)
        wait = self._take((method, ""), per_minute, per_minute / 60)
        if not wait and channel and method in {"chat.postMessage", "chat.postEphemeral"}:
            wait = self._take(("post", channel), self.post_burst, self.posts_per_second)
        if wait:
            raise SlackError("ratelimited", status=429, retry_after=max(1, math.ceil(wait)))

    def _take(self, key: tuple[str, str], size: float, rate: float) -> float:
        now = self.clock.now()
        bucket = self._buckets.setdefault(key, _Bucket(size, rate, size, now))
        return bucket.take(now)
