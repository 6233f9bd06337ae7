"""Names: the grammar, what people type, patterns and order."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.registry.reference import (
    Digest,
    InvalidReference,
    Reference,
    Repository,
    Tag,
    match_repository,
    match_tag,
    natural_key,
    parse_reference,
    signature_tags,
    signed_digest,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

component = st.from_regex(r"\A[a-z0-9]{1,6}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,4}){0,2}\Z")
names = st.lists(component, min_size=1, max_size=5).map("/".join)
tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}\Z")


@pytest.mark.parametrize(
    "name", ["a", "team/api", "a.b/c_d/e__f/g-h", "a---b", "0/1/2", "a" * 255, "a/" * 127 + "a"]
)
def test_repository_names_that_registries_take(name: str) -> None:
    assert Repository.parse(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "a/", "/a", "a//b", "Team/api", "a b", "a..b", "a___b", "a._b", "-a", "a-"),
        *("a:b", "a@b", "../a", "a/../b", "ä", "a\n", "a?b", "a#b", "a%2fb", "a" * 256),
    ],
)
def test_repository_names_that_registries_refuse(name: str) -> None:
    with pytest.raises(InvalidReference):
        Repository.parse(name)


@pytest.mark.parametrize("tag", ["a", "1.4.2", "_x", "V-1", "latest", "a" * 128])
def test_tags_that_registries_take(tag: str) -> None:
    assert Tag.parse(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "-bad", ".bad", "a/b", "a b", "a:b", "a*", "é", "a\n", "a" * 129, "٣"]
)
def test_tags_that_registries_refuse(tag: str) -> None:
    with pytest.raises(InvalidReference):
        Tag.parse(tag)


@pytest.mark.parametrize(
    "text",
    ["", "sha256:12", HEX, f"sha256:{HEX.upper()}", f"{DIGEST}0", f"{DIGEST}\n", "md5:" + HEX],
)
def test_digests_that_must_never_be_sent(text: str) -> None:
    with pytest.raises(InvalidReference):
        Digest.parse(text)


def test_parts_of_a_digest() -> None:
    digest = Digest.parse(DIGEST)
    assert (digest.algorithm, digest.hex) == ("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team/api", Reference(Repository("team/api"))),
        ("team/api:1.0", Reference(Repository("team/api"), tag="1.0")),
        ("team/api:pr-*", Reference(Repository("team/api"), tag="pr-*")),
        ("a:v[0-9].?", Reference(Repository("a"), tag="v[0-9].?")),
        (f"a@{DIGEST}", Reference(Repository("a"), digest=DIGEST)),
        ("a@sha256:0123456789ab", Reference(Repository("a"), digest="sha256:0123456789ab")),
    ],
)
def test_what_people_type(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "missing"),
        ("registry.corp:5000/team/api:1.0", "host"),
        ("https://registry.corp/team/api", "host"),
        (f"a:1@{DIGEST}", "both"),
        ("a@sha256:0123456789a", "12 characters"),
        ("a@latest", "not a digest"),
        ("a:", "not a tag"),
        ("a:[", "pattern"),
        ("a:[]*", "pattern"),
        ("a:x/*", "not a repository name"),
        ("a:b c*", "pattern"),
        ("a/*:1", "not a repository name"),
        ("a:" + "*" * 129, "pattern"),
    ],
)
def test_what_is_refused_says_why(text: str, part: str) -> None:
    with pytest.raises(InvalidReference, match=part):
        parse_reference(text)


def test_messages_are_short_and_clean() -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference("\x1b[31m" + "X" * 5000)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


def test_globs_and_short_digests_are_marked() -> None:
    assert parse_reference("a:1.*").is_glob
    assert not parse_reference("a:1.0").is_glob
    assert parse_reference("a@sha256:0123456789ab").is_digest_prefix
    assert not parse_reference(f"a@{DIGEST}").is_digest_prefix


@given(names, tags)
def test_every_valid_reference_reads_back(name: str, tag: str) -> None:
    assert str(parse_reference(f"{name}:{tag}")) == f"{name}:{tag}"


@given(st.text(max_size=300))
def test_parsing_gives_a_reference_or_a_reason(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert str(reference) == text


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("ci/**", "ci/a", True),
        ("ci/**", "ci/a/b", True),
        ("ci/**", "ci", False),
        ("ci/**", "cix/a", False),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b", False),
        ("**/api", "api", True),
        ("**/api", "x/y/api", True),
        ("**/api", "x/apis", False),
        ("*", "a", True),
        ("*", "a/b", False),
        ("team/*", "team/api", True),
        ("team/*", "team/api/sub", False),
        ("team/*-dev", "team/api-dev", True),
        ("team/a?i", "team/api", True),
        ("team/[ab]pi", "team/api", True),
        ("team/api", "team/api", True),
        ("team/api", "team/apis", False),
        ("team/api", "x/team/api", False),
    ],
)
def test_repository_patterns(pattern: str, name: str, expected: bool) -> None:
    assert match_repository(pattern, name) is expected


@given(names)
def test_a_name_matches_itself_and_everything(name: str) -> None:
    assert match_repository(name, name)
    assert match_repository("**", name)
    assert not match_repository(f"{name}/**", name)
    assert match_repository(f"{name}/**", f"{name}/x")


def test_hostile_patterns_end_quickly() -> None:
    assert not match_repository("/".join(["**", "a"] * 60), "/".join(["a"] * 127) + "b")
    assert not match_tag("*a" * 60 + "b", "a" * 128)


@pytest.mark.parametrize(
    ("pattern", "tag", "expected"),
    [
        ("*", "1.0", True),
        ("v*.*.*", "v1.2.3", True),
        ("v*.*.*", "v1.2", False),
        ("pr-?", "pr-12", False),
        ("[ab]*", "beta", True),
        ("[!a]*", "alpha", False),
        ("[^a]*", "alpha", False),
        ("[^a]*", "beta", True),
        ("V*", "v1", False),
        ("1.0", "1x0", False),
    ],
)
def test_tag_patterns(pattern: str, tag: str, expected: bool) -> None:
    assert match_tag(pattern, tag) is expected


@pytest.mark.parametrize(
    "ordered",
    [
        ["v1.9", "v1.10", "v2.0", "v10.0"],
        ["1.0-alpha", "1.0-beta1", "1.0-beta2", "1.0-rc1", "1.0-rc10", "1.0", "1.0.1"],
        ["1.0-SNAPSHOT", "1.0", "1.0-alpine", "1.1"],
        ["1", "1.0", "1.0.0"],
        ["build-9", "build-10", "build-99"],
        ["2024-01-31", "2024-02-01", "2024-10-01"],
        ["latest", "stable", "1.0"],
        ["1.9", "v1.10", "1.11"],
    ],
)
def test_natural_order(ordered: list[str]) -> None:
    mixed = list(ordered)
    random.Random(7).shuffle(mixed)
    assert sorted(mixed, key=natural_key) == ordered


@given(st.lists(st.text(alphabet=string.printable + "é٣", max_size=40), unique=True))
def test_order_never_fails_and_is_the_same_from_any_start(texts: list[str]) -> None:
    once = sorted(texts, key=natural_key)
    backwards = texts[::-1]
    assert sorted(backwards, key=natural_key) == once
    assert len({natural_key(text) for text in texts}) == len(texts)


def test_order_takes_very_long_numbers() -> None:
    assert natural_key("9" * 10_000) < natural_key("1" + "0" * 10_000)


def test_signature_tags_and_back() -> None:
    found = signature_tags(Digest(DIGEST))
    assert found == tuple(f"sha256-{HEX}{end}" for end in ("", ".sig", ".att", ".sbom"))
    assert {signed_digest(tag) for tag in found} == {DIGEST}


@pytest.mark.parametrize("tag", ["latest", "sha256-12.sig", f"sha256-{HEX}.zip", f"x-sha256-{HEX}"])
def test_other_tags_sign_nothing(tag: str) -> None:
    assert signed_digest(tag) is None
