"""What stays and what may go, from candidates made by hand and by hypothesis."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.plan import Snapshot
from bot.rules.retention import (
    FIRST_BELIEVED,
    Candidate,
    Keep,
    Outcome,
    Retention,
    decide,
    in_words,
    most_that_fit,
    span,
)
from bot.rules.signing import following
from tests.rules.test_plan import digest, image, index

DAY = 86400.0
NOW = 1_700_000_000.0


def tag(name: str, days: float | None = 30.0, protected: str = "") -> Candidate:
    """A tag whose image is so many days old; None: without a date."""
    created = None if days is None else NOW - days * DAY
    return Candidate(name, digest(name), created, protected)


def names(outcome: Outcome) -> tuple[list[str], list[str]]:
    return [j.tag for j in outcome.expire], [j.tag for j in outcome.keep]


TAGS = [tag("a", 50), tag("b", 40), tag("c", 30), tag("d", 20), tag("e", 10)]

TABLE: list[tuple[str, list[Keep], list[str], list[str]]] = [
    ("nothing is kept", [], ["a", "b", "c", "d", "e"], []),
    ("the newest", [Keep(most_recent_count=2)], ["a", "b", "c"], ["e", "d"]),
    ("more than there are", [Keep(most_recent_count=9)], [], ["e", "d", "c", "b", "a"]),
    ("the young", [Keep(created_within=25 * DAY)], ["a", "b", "c"], ["e", "d"]),
    ("just not young", [Keep(created_within=30 * DAY)], ["a", "b", "c"], ["e", "d"]),
    ("either", [Keep(("*",), 1, 35 * DAY)], ["a", "b"], ["e", "d", "c"]),
    ("by name", [Keep(("a", "c"))], ["b", "d", "e"], ["c", "a"]),
    ("newest of a name", [Keep(("[abc]",), 1)], ["a", "b", "d", "e"], ["c"]),
    ("two entries", [Keep(("a",)), Keep(("*",), 1)], ["b", "c", "d"], ["e", "a"]),
    ("zero keeps nothing", [Keep(("*",), 0), Keep(("*",), None, 0.0)], list("abcde"), []),
    ("zero beside a limit", [Keep(("*",), 0, 15 * DAY)], ["a", "b", "c", "d"], ["e"]),
]


@pytest.mark.parametrize(("_", "keep", "goes", "stays"), TABLE, ids=[row[0] for row in TABLE])
def test_keep_rules(_: str, keep: list[Keep], goes: list[str], stays: list[str]) -> None:
    assert names(decide(TAGS, keep, NOW)) == (goes, stays)


def test_each_says_why() -> None:
    keep = [Keep(("main-*",), 1), Keep(("*",), None, 14 * DAY), Keep(("v*",))]
    tags = [tag("main-1", 40), tag("main-2", 30), tag("x", 20), tag("y", 3), tag("v1", 90)]
    found = decide([*tags, tag("p", 99, "latest")], keep, NOW)
    assert {j.tag: j.why for j in found.expire} == {
        "main-1": "not among the 1 newest of main-*, not younger than 14 d",
        "x": "not younger than 14 d",
    }
    assert {j.tag: j.why for j in found.keep} == {
        "main-2": "among the 1 newest of main-*",
        "y": "younger than 14 d",
        "v1": "kept by name of v*",
        "p": "protected by latest",
    }
    assert decide([tag("x")], [Keep(("v*",))], NOW).expire[0].why == "no keep rule is about it"
    assert decide([tag("x")], [], NOW).expire[0].why == "nothing is to be kept"


def test_dates_nobody_can_believe_are_listed_apart_and_take_no_place() -> None:
    epoch = Candidate("repro", digest("repro"), 0.0)
    before = Candidate("zero", digest("zero"), -62_135_596_800.0)
    last = Candidate("last", digest("last"), FIRST_BELIEVED - 1)
    found = decide([*TAGS, epoch, before, last, tag("sbom", None)], [Keep(("*",), 1)], NOW)
    assert names(found) == (["a", "b", "c", "d"], ["e"])
    assert [c.tag for c in found.ancient] == ["last", "repro", "zero"]
    assert [c.tag for c in found.undated] == ["sbom"]
    first = Candidate("first", digest("first"), FIRST_BELIEVED)
    assert names(decide([first], [], NOW)) == (["first"], [])


def test_signature_tags_are_neither_selected_nor_counted() -> None:
    signature = f"{digest('a').replace(':', '-')}.sig"
    found = decide([*TAGS, tag(signature, 1)], [Keep(("*",), 1)], NOW)
    assert names(found) == (["a", "b", "c", "d"], ["e"])
    assert found.signatures == (signature,)


def test_protected_tags_stay_and_count_among_the_newest() -> None:
    found = decide(
        [tag("old", 90, "x"), tag("new", 1, "x"), tag("a"), tag("b", 5)], [Keep(("*",), 2)], NOW
    )
    assert names(found) == (["a"], ["new", "b", "old"])


def test_one_date_on_many_images_is_decided_by_name() -> None:
    tags = [tag(f"1.{n}") for n in range(12)]
    assert names(decide(tags, [Keep(("*",), 2)], NOW))[1] == ["1.11", "1.10"]
    assert names(decide(tags, [Keep(("*",), 2)], NOW))[0][:3] == ["1.0", "1.1", "1.2"]


def test_which_repositories() -> None:
    rule = Retention("ci", ("ci/**", "team/*"), ())
    assert [r for r in ("ci/a/b", "team/x", "team/x/y", "prod") if rule.covers(r)] == [
        "ci/a/b",
        "team/x",
    ]


def test_in_words() -> None:
    assert in_words(Keep(("main-*",), 10, 14 * DAY)) == (
        "the 10 newest of main-* and what is younger than 14 d of main-*"
    )
    assert in_words(Keep()) == "everything"
    assert [span(s) for s in (7 * DAY, 43_200, 1800, 90_000, 5)] == [
        "7 d",
        "12 h",
        "30 min",
        "1.041666667 d",
        "5 s",
    ]


def test_the_ceiling_counts_what_goes_along() -> None:
    assert most_that_fit(10, 5, lambda n: 0) == 5
    assert most_that_fit(3, 5, lambda n: 0) == 3
    assert most_that_fit(10, 5, lambda n: n) == 2
    assert most_that_fit(10, 5, lambda n: 1 if n > 4 else 0) == 4
    assert most_that_fit(0, 5, lambda n: 0) == 0
    assert most_that_fit(4, 1, lambda n: n) == 0


def _sig(name: str, kind: str = ".sig") -> str:
    return f"{digest(name).replace(':', '-')}{kind}"


def test_signatures_follow_the_last_tag_of_their_image() -> None:
    manifests = {digest(n): image(n, layer=1) for n in ("x", "y", "arm", "amd", "s")}
    manifests[digest("multi")] = index("multi", "arm", "amd")
    tags = {
        "x1": digest("x"), "x2": digest("x"), "y": digest("y"), "multi": digest("multi"),
        "arm": digest("arm"),
        **{_sig(n): digest("s") for n in ("x", "y", "arm", "amd", "multi", "stranger")},
        _sig("y", ".att"): digest("s"),
    }  # fmt: skip
    snapshot = Snapshot("r", tags, manifests, {})
    assert following(snapshot, ["x1"]) == ()
    assert following(snapshot, ["x1", "x2"]) == (_sig("x"),)
    assert following(snapshot, ["y"]) == tuple(sorted([_sig("y"), _sig("y", ".att")]))
    assert following(snapshot, ["arm"]) == ()  # the index still has it
    assert following(snapshot, ["multi"]) == tuple(sorted([_sig("multi"), _sig("amd")]))
    assert set(following(snapshot, ["multi", "arm"])) == {_sig(n) for n in ("multi", "amd", "arm")}
    assert following(snapshot, []) == ()


NAMES = st.sampled_from([*"abcdef", "v1", "v2", "v10", "latest", _sig("a"), _sig("b", ".att")])
CREATED = st.one_of(
    st.none(),
    st.floats(-1e10, NOW + 10 * DAY, allow_nan=False),
    st.sampled_from([0.0, FIRST_BELIEVED, NOW, NOW - 7 * DAY]),
)
CANDIDATES = st.lists(
    st.builds(Candidate, NAMES, st.just("sha256:0"), CREATED, st.sampled_from(["", "", "rule"])),
    unique_by=lambda c: c.tag,
    max_size=12,
)
KEEP = st.builds(
    Keep,
    st.sampled_from([("*",), ("v*",), ("a", "b"), ("latest",), ("v1*", "*")]),
    st.one_of(st.none(), st.integers(0, 4)),
    st.one_of(st.none(), st.sampled_from([0.0, 7 * DAY, 40 * DAY])),
)
KEEPS = st.lists(KEEP, max_size=4)


def _sets(outcome: Outcome) -> list[set[str]]:
    return [
        {j.tag for j in outcome.expire},
        {j.tag for j in outcome.keep},
        {c.tag for c in outcome.ancient},
        {c.tag for c in outcome.undated},
        set(outcome.signatures),
    ]


@given(CANDIDATES, KEEPS)
def test_every_tag_is_in_exactly_one_place(tags: list[Candidate], keep: list[Keep]) -> None:
    found = _sets(decide(tags, keep, NOW))
    assert sum(map(len, found)) == len(tags)
    assert set().union(*found) == {c.tag for c in tags}


@given(CANDIDATES, KEEPS)
def test_what_may_never_go_never_goes(tags: list[Candidate], keep: list[Keep]) -> None:
    expire = {j.tag: j.candidate for j in decide(tags, keep, NOW).expire}
    for c in expire.values():
        assert not c.protected
        assert (c.created or 0.0) >= FIRST_BELIEVED
        assert not c.tag.startswith("sha256-")
        for entry in keep:
            if entry.matches(c.tag):
                assert entry.most_recent_count is not None or entry.created_within is not None
                assert entry.created_within is None or NOW - c.created >= entry.created_within


@given(CANDIDATES, KEEPS, KEEP)
def test_a_further_keep_entry_never_expires_more(
    tags: list[Candidate], keep: list[Keep], more: Keep
) -> None:
    before, after = decide(tags, keep, NOW), decide(tags, [*keep, more], NOW)
    assert {j.tag for j in after.expire} <= {j.tag for j in before.expire}
    alone = decide(tags, [more], NOW)
    assert {j.tag for j in after.expire} == {j.tag for j in before.expire} & {
        j.tag for j in alone.expire
    }


@given(CANDIDATES, KEEPS, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    tags: list[Candidate], keep: list[Keep], chance: random.Random
) -> None:
    expected = decide(tags, keep, NOW)
    tags, keep = list(tags), list(keep)
    chance.shuffle(tags)
    chance.shuffle(keep)
    assert decide(tags, keep, NOW) == expected


@given(CANDIDATES, KEEPS)
def test_the_oldest_go_first(tags: list[Candidate], keep: list[Keep]) -> None:
    dates = [j.candidate.created or 0.0 for j in decide(tags, keep, NOW).expire]
    assert dates == sorted(dates)


@given(CANDIDATES, st.integers(0, 5))
def test_dates_apart_take_nobodys_place(tags: list[Candidate], count: int) -> None:
    keep = [Keep(("*",), count)]
    believed = [c for c in tags if c.created is not None and c.created >= FIRST_BELIEVED]
    assert decide(tags, keep, NOW).expire == decide(believed, keep, NOW).expire
