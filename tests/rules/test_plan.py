"""Plans, from pictures of a repository made by hand."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.registry.manifest import (
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Image,
    Index,
    Platform,
)
from bot.registry.reference import Digest
from bot.rules.plan import (
    DeletionPlan,
    Parent,
    PlannedDigest,
    Snapshot,
    needed_from_outside,
    plan_purge,
    plan_untag,
)

MANIFEST_SIZE = 500
CONFIG = 10


def digest(name: str) -> Digest:
    """The same digest for the same name."""
    return Digest(f"sha256:{hashlib.sha256(name.encode()).hexdigest()}")


def image(name: str, **layers: int) -> Image:
    """An image with a config of its own (10 bytes) and layers of these names and bytes."""
    blobs = tuple(
        Descriptor("application/vnd.oci.image.layer.v1.tar", digest(layer), size)
        for layer, size in layers.items()
    )
    config = Descriptor(
        "application/vnd.oci.image.config.v1+json", digest(f"{name} config"), CONFIG
    )
    return Image(digest(name), OCI_MANIFEST, config, blobs)


def index(name: str, *children: str, platforms: tuple[str, ...] = ()) -> Index:
    """An index over manifests of these names; platforms such as linux/arm64, in their order."""
    found = [Platform(*text.split("/")) for text in platforms]
    padded = [*found, *[None] * (len(children) - len(found))]
    return Index(
        digest(name),
        OCI_INDEX,
        tuple(
            Descriptor(OCI_MANIFEST, digest(child), MANIFEST_SIZE, platform)
            for child, platform in zip(children, padded, strict=True)
        ),
    )


def snapshot(
    tags: dict[str, str], *manifests: Image | Index, repository: str = "team/api", missing: str = ""
) -> Snapshot:
    """A repository: tags to names of manifests; every manifest has 500 bytes itself."""
    return Snapshot(
        repository,
        {tag: digest(name) for tag, name in tags.items()},
        {m.digest: m for m in manifests},
        {m.digest: MANIFEST_SIZE for m in manifests},
        frozenset(digest(name) for name in missing.split()),
    )


# v1 and latest are one image; v2 shares its base; multi has both of its children for itself,
# except amd, which is tagged too.
SHOP = snapshot(
    {
        "v1": "one",
        "latest": "one",
        "v2": "two",
        "v10": "two",
        "multi": "multi",
        "multi-amd": "amd",
    },
    image("one", base=1000, first=100),
    image("two", base=1000, second=200),
    image("amd", base=1000, third=300),
    image("arm", fourth=400),
    index("multi", "amd", "arm", platforms=("linux/amd64", "linux/arm64/v8")),
)


def only(plan: DeletionPlan) -> PlannedDigest:
    """The one digest of a plan."""
    assert len(plan.digests) == 1
    return plan.digests[0]


# What is there


def test_tags_on_a_digest_stand_in_natural_order() -> None:
    assert SHOP.tags_on(digest("two")) == ("v2", "v10")
    assert SHOP.tags_on(digest("one")) == ("latest", "v1")
    assert SHOP.tags_on(digest("arm")) == ()


def test_reach_goes_down_and_never_up() -> None:
    assert SHOP.reach([digest("multi")]) == {digest("multi"), digest("amd"), digest("arm")}
    assert SHOP.reach([digest("arm")]) == {digest("arm")}
    assert SHOP.reach([]) == frozenset()


def test_reach_goes_through_indexes_in_indexes() -> None:
    nested = snapshot({"top": "top"}, image("leaf"), index("mid", "leaf"), index("top", "mid"))
    assert nested.reach([digest("top")]) == {digest("top"), digest("mid"), digest("leaf")}


def test_reach_ends_where_indexes_turn_in_a_circle() -> None:
    circle = snapshot({"a": "a"}, index("a", "b"), index("b", "a"))
    assert circle.reach([digest("a")]) == {digest("a"), digest("b")}


def test_parents_are_all_indexes_above() -> None:
    nested = snapshot({"top": "top"}, image("leaf"), index("mid", "leaf"), index("top", "mid"))
    assert set(nested.parents(digest("leaf"))) == {digest("mid"), digest("top")}
    assert nested.parents(digest("mid")) == (digest("top"),)
    assert nested.parents(digest("top")) == ()


def test_a_digest_is_not_its_own_parent_in_a_circle() -> None:
    circle = snapshot({"a": "a"}, index("a", "b"), index("b", "a"))
    assert circle.parents(digest("a")) == (digest("b"),)


def test_blobs_are_counted_once_with_the_manifests_themselves() -> None:
    both = SHOP.blobs([digest("one"), digest("two")])
    assert both == {
        digest("one"): MANIFEST_SIZE,
        digest("one config"): CONFIG,
        digest("two"): MANIFEST_SIZE,
        digest("two config"): CONFIG,
        digest("base"): 1000,
        digest("first"): 100,
        digest("second"): 200,
    }


def test_of_what_cannot_be_read_nothing_is_counted() -> None:
    assert SHOP.blobs([digest("nobody knows it")]) == {}


def test_a_manifest_of_unknown_length_counts_as_nothing_itself() -> None:
    bare = dataclasses.replace(SHOP, sizes={})
    assert bare.blobs([digest("multi")]) == {digest("multi"): 0}


def test_foreign_layers_are_not_stored_here() -> None:
    config = Descriptor("application/vnd.oci.image.config.v1+json", digest("c"), CONFIG)
    foreign = Descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest("windows"), 10**9
    )
    windows = Image(digest("win"), OCI_MANIFEST, config, (foreign,))
    assert digest("windows") not in snapshot({"w": "win"}, windows).blobs([digest("win")])


# Untag


def test_untag_takes_only_what_was_named() -> None:
    plan = plan_untag("corp", [(SHOP, ["v1"])])
    found = only(plan)
    assert (plan.action, plan.registry, found.repository) == ("delete", "corp", "team/api")
    assert (found.digest, found.tags, found.kept_tags) == (digest("one"), ("v1",), ("latest",))
    assert (found.media_type, found.is_index, found.platforms) == (OCI_MANIFEST, False, ())
    assert plan.tags == (("team/api", "v1", digest("one")),)


def test_untag_of_two_tags_on_one_digest_is_one_digest() -> None:
    found = only(plan_untag("corp", [(SHOP, ["v10", "v2"])]))
    assert (found.tags, found.kept_tags) == (("v2", "v10"), ())


def test_naming_a_tag_twice_is_naming_it_once() -> None:
    assert plan_untag("corp", [(SHOP, ["v1", "v1"])]) == plan_untag("corp", [(SHOP, ["v1"])])


def test_digests_stand_in_the_natural_order_of_their_tags() -> None:
    plan = plan_untag("corp", [(SHOP, ["v10", "multi", "v1"])])
    assert [d.digest for d in plan.digests] == [digest("multi"), digest("one"), digest("two")]


def test_untag_names_the_indexes_that_need_the_image() -> None:
    found = only(plan_untag("corp", [(SHOP, ["multi-amd"])]))
    assert found.parents == (Parent(digest("multi"), ("multi",)),)


def test_an_index_without_a_tag_is_a_parent_too() -> None:
    shop = snapshot({"amd": "amd"}, image("amd"), index("old", "amd"))
    assert only(plan_untag("corp", [(shop, ["amd"])])).parents == (Parent(digest("old"), ()),)


def test_children_are_those_that_nothing_else_needs() -> None:
    found = only(plan_untag("corp", [(SHOP, ["multi"])]))
    assert found.is_index
    assert found.children == (digest("arm"),)
    assert found.platforms == ("linux/amd64", "linux/arm64/v8")


def test_a_child_of_another_tagged_index_is_needed() -> None:
    shop = snapshot(
        {"old": "old", "new": "new"},
        image("both"),
        image("mine"),
        index("old", "both", "mine"),
        index("new", "both"),
    )
    assert only(plan_untag("corp", [(shop, ["old"])])).children == (digest("mine"),)


def test_a_child_of_an_index_without_tags_is_not_needed() -> None:
    shop = snapshot({"old": "old"}, image("leaf"), index("old", "leaf"), index("stray", "leaf"))
    assert only(plan_untag("corp", [(shop, ["old"])])).children == (digest("leaf"),)


def test_an_index_that_keeps_a_tag_keeps_its_children() -> None:
    shop = snapshot({"a": "a", "kept": "a"}, image("leaf"), index("a", "leaf"))
    assert only(plan_untag("corp", [(shop, ["a"])])).children == ()


def test_children_of_children_go_too() -> None:
    nested = snapshot({"top": "top"}, image("leaf"), index("mid", "leaf"), index("top", "mid"))
    found = only(plan_untag("corp", [(nested, ["top"])]))
    assert set(found.children) == {digest("mid"), digest("leaf")}


def test_missing_children_are_named_and_never_planned() -> None:
    shop = snapshot({"old": "old"}, image("here"), index("old", "here", "gone"), missing="gone")
    found = only(plan_untag("corp", [(shop, ["old"])]))
    assert found.children == (digest("here"),)
    assert found.missing_children == (digest("gone"),)


def test_what_is_missing_elsewhere_is_not_named() -> None:
    shop = snapshot({"a": "a", "b": "b"}, index("a", "gone"), image("b"), missing="gone")
    assert only(plan_untag("corp", [(shop, ["b"])])).missing_children == ()


def test_attestations_are_no_platform_and_platforms_stand_once() -> None:
    platforms = ("linux/amd64", "unknown/unknown", "linux/amd64")
    built = index("built", "a", "b", "c", platforms=platforms)
    shop = snapshot({"x": "built"}, built, image("a"), image("b"), image("c"))
    assert only(plan_untag("corp", [(shop, ["x"])])).platforms == ("linux/amd64",)


def test_a_manifest_that_cannot_be_read_can_be_planned() -> None:
    shop = snapshot({"odd": "odd"})
    found = only(plan_untag("corp", [(shop, ["odd"])]))
    assert (found.media_type, found.is_index, found.size, found.children) == ("", False, 0, ())


def test_a_tag_that_is_not_there_is_an_error_and_not_an_empty_plan() -> None:
    with pytest.raises(KeyError):
        plan_untag("corp", [(SHOP, ["nobody knows it"])])


# Signatures


def signed(*suffixes: str) -> Snapshot:
    """An image with signature tags of these suffixes, and one that speaks of another image."""
    base = digest("one").replace(":", "-")
    tags = {f"{base}{suffix}": f"sig{suffix}" for suffix in suffixes}
    other = digest("two").replace(":", "-") + ".sig"
    manifests = [image(f"sig{suffix}") for suffix in suffixes]
    return snapshot(
        {"v1": "one", other: "sig of two", **tags}, image("one"), image("sig of two"), *manifests
    )


@pytest.mark.parametrize(
    "suffixes", [(), ("",), (".sig",), (".sig", ".att", ".sbom"), ("", ".att")]
)
def test_signatures_of_the_image_are_named(suffixes: tuple[str, ...]) -> None:
    base = digest("one").replace(":", "-")
    found = only(plan_untag("corp", [(signed(*suffixes), ["v1"])]))
    assert set(found.signatures) == {f"{base}{suffix}" for suffix in suffixes}


def test_a_signature_that_goes_too_does_not_stay() -> None:
    shop = signed(".sig", ".att")
    base = digest("one").replace(":", "-")
    plan = plan_untag("corp", [(shop, ["v1", f"{base}.sig"])])
    found = next(d for d in plan.digests if d.digest == digest("one"))
    assert found.signatures == (f"{base}.att",)


# Bytes


def test_size_counts_everything_below_once() -> None:
    plan = plan_untag("corp", [(SHOP, ["multi"])])
    assert only(plan).size == 3 * MANIFEST_SIZE + 2 * CONFIG + 1000 + 300 + 400


@pytest.mark.parametrize(
    ("tags", "unique"),
    [
        pytest.param(["v1"], 0, id="another tag keeps all of it"),
        pytest.param(["v1", "latest"], MANIFEST_SIZE + CONFIG + 100, id="the base is shared"),
        pytest.param(["v2", "v10"], MANIFEST_SIZE + CONFIG + 200, id="of two tags both go"),
        pytest.param(["multi-amd"], 0, id="the index needs it"),
        pytest.param(["multi"], 2 * MANIFEST_SIZE + CONFIG + 400, id="the index and one child"),
        pytest.param(
            ["multi", "multi-amd"],
            3 * MANIFEST_SIZE + 2 * CONFIG + 300 + 400,
            id="the index and both children",
        ),
        pytest.param(
            ["v1", "latest", "v2", "v10", "multi", "multi-amd"],
            5 * MANIFEST_SIZE + 4 * CONFIG + 1000 + 100 + 200 + 300 + 400,
            id="everything, the base once",
        ),
    ],
)
def test_unique_bytes_are_those_that_only_these_use(tags: list[str], unique: int) -> None:
    assert plan_untag("corp", [(SHOP, tags)]).unique_bytes == unique


def test_a_purge_frees_the_same_as_taking_every_tag_away() -> None:
    purged = plan_purge("corp", [(SHOP, [digest("two")])])
    assert purged.unique_bytes == MANIFEST_SIZE + CONFIG + 200


def test_a_purge_of_an_untagged_digest_counts_it() -> None:
    shop = snapshot({"v1": "one"}, image("one", base=1000), image("stray", base=1000, own=70))
    plan = plan_purge("corp", [(shop, [digest("stray")])])
    assert plan.unique_bytes == MANIFEST_SIZE + CONFIG + 70


def test_an_image_that_an_index_stays_needing_frees_nothing() -> None:
    plan = plan_purge("corp", [(SHOP, [digest("amd")])])
    assert plan.unique_bytes == 0


def test_bytes_of_several_repositories_are_added() -> None:
    a = snapshot({"x": "x"}, image("x", lx=100), repository="a")
    b = snapshot({"y": "y"}, image("y", ly=200), repository="b")
    plan = plan_untag("corp", [(a, ["x"]), (b, ["y"])])
    assert plan.unique_bytes == 2 * (MANIFEST_SIZE + CONFIG) + 300
    assert plan.repositories == ("a", "b")
    assert plan.tags == (("a", "x", digest("x")), ("b", "y", digest("y")))


def test_what_two_repositories_share_is_not_freed_twice() -> None:
    a = snapshot({"x": "x"}, image("x", base=1000), repository="a")
    b = snapshot({"x": "x"}, image("x", base=1000), repository="b")
    plan = plan_untag("corp", [(a, ["x"]), (b, ["x"])])
    assert plan.unique_bytes == MANIFEST_SIZE + CONFIG + 1000


def test_what_another_named_repository_keeps_is_not_freed() -> None:
    a = snapshot({"x": "x"}, image("x", base=1000), repository="a")
    b = snapshot({"y": "y", "z": "z"}, image("y", own=5), image("z", base=1000), repository="b")
    plan = plan_untag("corp", [(a, ["x"]), (b, ["y"])])
    assert plan.unique_bytes == 2 * (MANIFEST_SIZE + CONFIG) + 5


# Purge


def test_purge_takes_every_tag_on_the_digest() -> None:
    plan = plan_purge("corp", [(SHOP, [digest("two")])])
    found = only(plan)
    assert (plan.action, plan.method) == ("purge", "digest")
    assert (found.tags, found.kept_tags) == (("v2", "v10"), ())


def test_purge_names_each_digest_once_in_the_order_given() -> None:
    plan = plan_purge("corp", [(SHOP, [digest("two"), digest("one"), digest("two")])])
    assert [d.digest for d in plan.digests] == [digest("two"), digest("one")]
    assert plan.repositories == ("team/api",)


def test_purge_keeps_the_children_that_others_need() -> None:
    found = only(plan_purge("corp", [(SHOP, [digest("multi")])]))
    assert found.children == (digest("arm"),)


def test_purge_of_two_indexes_takes_the_child_that_both_share() -> None:
    shop = snapshot({"a": "a", "b": "b"}, image("leaf"), index("a", "leaf"), index("b", "leaf"))
    plan = plan_purge("corp", [(shop, [digest("a"), digest("b")])])
    assert {child for d in plan.digests for child in d.children} == {digest("leaf")}


def test_a_digest_that_the_plan_names_itself_is_not_counted_as_a_child_too() -> None:
    plan = plan_purge("corp", [(SHOP, [digest("multi"), digest("amd")])])
    assert [d.children for d in plan.digests] == [(digest("arm"),), ()]


def test_the_child_of_an_index_that_keeps_its_tag_stays_out_of_the_other() -> None:
    shop = snapshot(
        {"a": "a", "b": "b", "kept": "b"}, image("leaf"), index("a", "leaf"), index("b", "leaf")
    )
    plan = plan_untag("corp", [(shop, ["a", "b"])])
    assert plan.digests[0].children == ()


# Needed from outside


def test_a_tagged_index_outside_needs_its_child() -> None:
    amd = digest("amd")
    assert needed_from_outside(SHOP, amd, [amd]) == Parent(digest("multi"), ("multi",))


def test_an_index_that_goes_too_does_not() -> None:
    amd = digest("amd")
    assert needed_from_outside(SHOP, amd, iter([amd, digest("multi")])) is None


def test_an_index_without_tags_does_not() -> None:
    shop = snapshot({"leaf": "leaf"}, image("leaf"), index("stray", "leaf"))
    assert needed_from_outside(shop, digest("leaf"), [digest("leaf")]) is None


def test_a_tagged_index_two_floors_up_does() -> None:
    nested = snapshot({"top": "top"}, image("leaf"), index("mid", "leaf"), index("top", "mid"))
    going = [digest("leaf"), digest("mid")]
    assert needed_from_outside(nested, digest("leaf"), going) == Parent(digest("top"), ("top",))


def test_what_no_index_contains_is_needed_by_none() -> None:
    assert needed_from_outside(SHOP, digest("one"), [digest("one")]) is None


# Pinned


def pinned(**changes: object) -> str:
    """The fingerprint of a plan whose only digest is otherwise in some fields."""
    plan = plan_untag("corp", [(SHOP, ["v1"])])
    changed = dataclasses.replace(plan.digests[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(plan, digests=(changed,)).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "team/web"},
        {"digest": digest("two")},
        {"tags": ("v1", "v3")},
        {"tags": ()},
        {"kept_tags": ()},
        {"kept_tags": ("latest", "new")},
        {"tags": ("latest",), "kept_tags": ("v1",)},
    ],
)
def test_the_fingerprint_changes_with_what_is_pinned(changes: dict[str, object]) -> None:
    assert pinned(**changes) != pinned()


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 1},
        {"signatures": ("sha256-x.sig",)},
        {"parents": (Parent("sha256:x", ("a",)),)},
        {"platforms": ("linux/amd64",)},
    ],
)
def test_the_fingerprint_stays_with_what_only_informs(changes: dict[str, object]) -> None:
    assert pinned(**changes) == pinned()


def test_the_fingerprint_knows_action_and_registry() -> None:
    plan = plan_untag("corp", [(SHOP, ["v2", "v10"])])
    assert plan.fingerprint != dataclasses.replace(plan, registry="other").fingerprint
    assert plan.fingerprint != dataclasses.replace(plan, action="purge").fingerprint
    informs = dataclasses.replace(plan, unique_bytes=1, method="tag", warnings=("careful",))
    assert plan.fingerprint == informs.fingerprint


@given(st.permutations(["v1", "latest", "v2", "multi", "multi-amd"]))
def test_the_fingerprint_does_not_know_the_order_of_typing(tags: list[str]) -> None:
    expected = plan_untag("corp", [(SHOP, ["v1", "latest", "v2", "multi", "multi-amd"])])
    assert plan_untag("corp", [(SHOP, tags)]).fingerprint == expected.fingerprint


def test_the_fingerprint_does_not_know_the_order_of_digests_or_tags() -> None:
    plan = plan_untag("corp", [(SHOP, ["v2", "v10", "v1"])])
    turned = [dataclasses.replace(d, tags=d.tags[::-1]) for d in plan.digests[::-1]]
    assert dataclasses.replace(plan, digests=tuple(turned)).fingerprint == plan.fingerprint
    assert pinned(kept_tags=("a", "b")) == pinned(kept_tags=("b", "a"))


def test_two_plans_of_the_same_are_equal_whatever_the_hashing_of_sets() -> None:
    names = "abcdefgh"
    above = [index(f"top {name}", "all") for name in names]
    everything = index("all", *names)
    shop = snapshot({"all": "all"}, everything, *above, *map(image, names[:4]), missing="e f g h")
    found = only(plan_untag("corp", [(shop, ["all"])]))
    assert found.children == tuple(sorted(map(digest, names[:4])))
    assert found.missing_children == tuple(sorted(map(digest, names[4:])))
    assert found.parents == tuple(Parent(d, ()) for d in sorted(top.digest for top in above))


# Stored


def test_a_plan_survives_a_round_through_json() -> None:
    shop = snapshot(
        {"v1": "one", "latest": "one", "multi": "multi", "amd": "amd"},
        image("one", base=1),
        image("amd", base=1),
        index("multi", "amd", "gone", platforms=("linux/amd64", "linux/arm64/v8")),
        missing="gone",
    )
    plan = dataclasses.replace(
        plan_untag("corp", [(shop, ["v1", "multi", "amd"])]), method="placeholder", warnings=("w",)
    )
    back = DeletionPlan.from_json(json.loads(json.dumps(plan.as_json())))
    assert back == plan
    assert back.fingerprint == plan.fingerprint
    assert back.tags == plan.tags


def test_a_plan_with_a_key_more_is_still_read() -> None:
    # Another version may have written it.
    plan = plan_purge("corp", [(SHOP, [digest("one")])])
    assert DeletionPlan.from_json({**plan.as_json(), "later": 1}) == plan


@pytest.mark.parametrize("broken", [{}, {"action": "delete"}, {"digests": "no"}])
def test_what_is_no_plan_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DeletionPlan.from_json(broken)


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.dictionaries(st.sampled_from(["t1", "t2", "t3", "t4", "t5"]), NAMES, min_size=1),
    st.dictionaries(NAMES, st.lists(NAMES, max_size=3)),
    st.data(),
)
def test_no_plan_frees_what_a_remaining_tag_needs(
    tags: dict[str, str], indexes: dict[str, list[str]], data: st.DataObject
) -> None:
    manifests = [
        index(name, *indexes[name]) if name in indexes else image(name, **{f"l{name}": 7})
        for name in "abcd"
    ]
    shop = snapshot(tags, *manifests)
    going = data.draw(st.lists(st.sampled_from(sorted(tags)), unique=True))
    plan = plan_untag("corp", [(shop, going)])
    assert sorted(tag for _, tag, _ in plan.tags) == sorted(going)
    staying = shop.reach(d for tag, d in shop.tags.items() if tag not in going)
    everything = sum(shop.blobs(m.digest for m in manifests).values())
    assert 0 <= plan.unique_bytes <= everything - sum(shop.blobs(staying).values())
    for planned in plan.digests:
        assert not set(planned.children) & staying
        assert planned.digest not in planned.children
        assert {*planned.tags, *planned.kept_tags} == set(shop.tags_on(planned.digest))
