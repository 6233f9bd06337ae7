"""What a plan says of what stays: against what the tags that are left really reach."""

from hypothesis import given
from hypothesis import strategies as st

from bot.registry.manifest import Image, Index
from bot.rules.plan import Facts, Snapshot, plan_purge, plan_untag
from bot.rules.signing import following
from tests.rules.test_plan import digest, image, index, only, snapshot


def signature(name: str, suffix: str = ".sig") -> str:
    return digest(name).replace(":", "-") + suffix


NAMES = "abc"


@st.composite
def repositories(draw: st.DrawFn) -> Snapshot:
    """Images, indexes of them (and of indexes), tags and signature tags in any combination."""
    manifests: list[Image | Index] = [image(name, **{name: 1, "base": 10}) for name in NAMES]
    for level in ("i", "j"):
        for number in range(draw(st.integers(0, 2))):
            known = [*NAMES, *(f"i{n}" for n in range(2))] if level == "j" else [*NAMES]
            children = draw(st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=3))
            manifests.append(index(f"{level}{number}", *children))
    names = [*NAMES, "i0", "i1", "j0", "j1"]
    tags = {f"t{n}": draw(st.sampled_from(names)) for n in range(draw(st.integers(1, 5)))}
    signed = draw(st.lists(st.sampled_from(names), unique=True, max_size=4))
    tags |= {signature(name): f"signature of {name}" for name in signed}
    if signed and draw(st.booleans()):
        first = f"signature of {signed[0]}"
        tags[signature(first)] = "signature of a signature"
    manifests += [image(name) for name in tags.values() if "signature" in name]
    there = {m.digest for m in manifests}
    full = snapshot(tags, *manifests)
    missing = {c.digest for m in manifests if isinstance(m, Index) for c in m.children} - there
    kept = {tag: d for tag, d in full.tags.items() if d in there}
    return Snapshot(full.repository, kept, full.manifests, full.sizes, frozenset(missing))


@given(repositories(), st.data())
def test_what_is_said_to_stay_is_what_the_tags_that_stay_reach(
    shop: Snapshot, data: st.DataObject
) -> None:
    if not shop.tags:
        return
    going = data.draw(st.lists(st.sampled_from(sorted(shop.tags)), unique=True, min_size=1))
    left = shop.reach(d for tag, d in shop.tags.items() if tag not in going)
    for planned in plan_untag("corp", [(shop, going)]).digests:
        kinds = [note.kind for note in planned.notes]
        assert ("stays" in kinds) is (planned.digest in left)
        assert ("until" in kinds) is (planned.digest not in left)
        for child in planned.below:
            expected = "stays" if child.digest in left else "goes"
            expected = "missing" if child.digest in shop.missing else expected
            assert child.outcome == expected, child
        assert {b.digest for b in planned.below} == shop.reach([planned.digest]) - {planned.digest}
        for one in planned.attached:
            assert one.goes is (one.tag in going)
            assert one.orphaned is (not one.goes and one.of not in left)


@given(repositories(), st.data())
def test_with_those_that_follow_nothing_is_left_without_its_image(
    shop: Snapshot, data: st.DataObject
) -> None:
    if not shop.tags:
        return
    going = data.draw(st.lists(st.sampled_from(sorted(shop.tags)), unique=True, min_size=1))
    along = following(shop, going)
    assert not set(along) & set(going)
    assert plan_untag("corp", [(shop, [*going, *along])]).orphans == ()
    # And nothing follows whose image stays.
    left = shop.reach(d for t, d in shop.tags.items() if t not in going and t not in along)
    assert not {digest_of(tag) for tag in along} & left


def digest_of(tag: str) -> str:
    return tag.replace("sha256-", "sha256:").partition(".")[0]


def test_a_purge_goes_at_once_and_takes_children_with_it() -> None:
    shop = snapshot({"multi": "multi"}, image("arm"), index("multi", "arm"))
    planned = only(plan_purge("corp", [(shop, [digest("multi")])]))
    assert [note.kind for note in planned.notes] == ["at once"]
    assert planned.below[0].why == "goes with its index"


def test_attestations_of_a_build_are_called_so() -> None:
    built = index("x", "a", "b", platforms=("linux/amd64", "unknown/unknown"))
    shop = snapshot({"x": "x"}, built, image("a"), image("b"))
    planned = only(plan_untag("corp", [(shop, ["x"])]))
    assert [b.platform for b in planned.below] == ["linux/amd64", "attestation"]


def test_a_signature_of_a_child_belongs_to_the_index() -> None:
    shop = snapshot({"x": "x", signature("a"): "s"}, index("x", "a"), image("a"), image("s"))
    assert following(shop, ["x"]) == (signature("a"),)
    planned = only(plan_untag("corp", [(shop, ["x"])]))
    assert [(a.tag, a.kind, a.of) for a in planned.attached] == [
        (signature("a"), "signature", digest("a"))
    ]
    told = plan_untag("corp", [(shop, [signature("a")])]).digests[0].notes[-1].text
    assert told == f"deleting only the signature leaves {digest('a')[:19]} inside `x` unsigned"


def test_an_untagged_digest_of_a_purge_takes_its_signature() -> None:
    shop = snapshot({signature("a"): "s"}, image("a"), image("s"))
    assert following(shop, []) == ()
    assert following(shop, [], [digest("a")]) == (signature("a"),)


def test_only_tags_that_look_like_a_digest_are_compared_with_digests() -> None:
    beginning = digest("other").removeprefix("sha256:")
    names = {beginning[:5]: 0, beginning[:6]: 1, beginning[:12]: 1, "feed" * 3: 0, "1.0": 0}
    for tag, count in names.items():
        shop = snapshot({tag: "a", "x": "other"}, image("a"), image("other"))
        kinds = [n.kind for n in only(plan_untag("corp", [(shop, [tag])])).notes]
        assert kinds.count("name") == count, tag


def test_a_tag_that_is_the_beginning_of_its_own_digest_is_another_matter() -> None:
    tag = digest("a").removeprefix("sha256:")[:12]
    shop = snapshot({tag: "a"}, image("a"))
    note = only(plan_untag("corp", [(shop, [tag])])).notes[-1]
    assert (
        note.text == f"tag `{tag}` is also the beginning of digest sha256:{tag}: the tag is meant"
    )


def test_dates_are_only_doubted_before_1971() -> None:
    shop = snapshot({"x": "a"}, image("a"))
    for created, count in (
        ("1970-12-31T23:59:59+00:00", 1),
        ("1971-01-01T00:00:00+00:00", 0),
        ("0002-01-01T00:00:00+00:00", 1),
    ):
        plan = plan_untag("corp", [(shop, ["x"])], facts=Facts(created={digest("a"): created}))
        assert [n.kind for n in only(plan).notes].count("date") == count


def test_a_blob_that_others_need_is_not_counted_everywhere() -> None:
    shop = snapshot({"x": "a"}, image("a", mine=100, theirs=1000))
    facts = Facts(elsewhere=frozenset({digest("theirs")}), read=2, known=3)
    plan = plan_untag("corp", [(shop, ["x"])], facts=facts)
    assert plan.unique_bytes - (plan.unique_everywhere or 0) == 1000
    assert only(plan).frees == plan.unique_everywhere
    assert plan_untag("corp", [(shop, ["x"])]).unique_everywhere is None


def test_what_is_only_said_is_not_pinned() -> None:
    shop = snapshot({"x": "a"}, image("a", mine=100))
    facts = Facts(
        {digest("a"): "1970-01-01T00:00:00+00:00"}, elsewhere=frozenset({digest("mine")}), read=9
    )
    known, bare = (plan_untag("corp", [(shop, ["x"])], facts=f) for f in (facts, Facts()))
    assert known != bare
    assert known.fingerprint == bare.fingerprint
