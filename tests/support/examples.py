"""How long hypothesis looks for what breaks us: a little in the suite, long where asked to.

REGISTRY_BOT_EXAMPLES=5000 tries for longer than the suite does; a failure prints its example.
"""

import os

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Settings for `count` examples, or as many as the environment wants; nothing is timed."""
    return settings(
        max_examples=int(os.environ.get("REGISTRY_BOT_EXAMPLES", count)),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "\0", "\ud800", "9" * 400, "a/b", "../..", "<@U1>", "sha256:" + "0" * 64]
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Whatever JSON can carry, and what parsers let through: NaN and lone surrogates."""
DEEP = "[" * 100_000
"""JSON that is deeper than a parser can go."""


def shaped(*keys: str) -> st.SearchStrategy[object]:
    """JSON in which these keys turn up, with anything behind them, and once more below."""
    named = st.sampled_from(keys)
    return st.recursive(
        SCALARS | JSON,
        lambda inner: (
            st.dictionaries(named, inner, max_size=len(keys)) | st.lists(inner, max_size=3)
        ),
        max_leaves=12,
    )
