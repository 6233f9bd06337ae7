"""Names in a registry: repositories, tags, digests, and what people type for them."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

_NAME_LIMIT = 255
_TAG_LIMIT = 128

# The path grammar of distribution's `reference` package, without a host in front.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_GLOB = re.compile(r"(?:[A-Za-z0-9_.*?-]|\[[!^]?[A-Za-z0-9_.-]+\])+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_DIGEST_PREFIX = re.compile(r"sha256:[0-9a-f]{12,64}")
_SIGNATURE = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?")
_HOST = re.compile(r"(?:https?://)?[A-Za-z0-9.-]+:[0-9]+/.+|https?://.*")

_TOKEN = re.compile(r"[0-9]+|[^0-9._\-+]+")
_PRE_RELEASES = {
    "dev": 0,
    "nightly": 0,
    "snapshot": 0,
    "canary": 0,
    "alpha": 1,
    "beta": 2,
    "milestone": 3,
    "pre": 3,
    "preview": 3,
    "rc": 4,
    "cr": 4,
}


class InvalidReference(ValueError):
    """Not a name that a registry can have. The message is fit to be shown."""


class Repository(str):
    """A repository's name, such as `team/api`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text` against distribution's grammar.

        Raises
        ------
        InvalidReference : it is empty, longer than 255 characters, or has other characters
            than lower-case letters, digits and single separators between them.
        """
        if not text:
            raise InvalidReference("A repository name is missing.")
        if len(text) > _NAME_LIMIT:
            raise InvalidReference(
                f"{_shown(text)} is longer than the {_NAME_LIMIT} characters of a repository name."
            )
        if not _REPOSITORY.fullmatch(text):
            raise InvalidReference(
                f"{_shown(text)} is not a repository name: lower-case letters and digits, "
                "with . _ - or / between them."
            )
        return cls(text)


class Tag(str):
    """A tag, such as `1.4.2`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text` against distribution's grammar; raises `InvalidReference`."""
        if not _TAG.fullmatch(text):
            raise InvalidReference(
                f"{_shown(text)} is not a tag: up to {_TAG_LIMIT} letters, digits, _ . or -, "
                "and neither . nor - in front."
            )
        return cls(text)


class Digest(str):
    """The hash of a manifest or blob, such as `sha256:9f86d0…`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check that `text` is a whole digest; raises `InvalidReference`.

        A registry answers a malformed one with 500, so it must never be sent.
        """
        if not _DIGEST.fullmatch(text):
            raise InvalidReference(
                f"{_shown(text)} is not a digest: sha256: and 64 characters of 0-9 and a-f."
            )
        return cls(text)

    @property
    def algorithm(self) -> str:
        """The name of the hash, as `hashlib` knows it."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hash alone."""
        return self.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person points at.

    `tag` may be a glob and `digest` may be the beginning of one; never are both given.
    """

    repository: Repository
    tag: str | None = None
    digest: str | None = None

    @property
    def is_glob(self) -> bool:
        """Whether the tag is a pattern that any number of tags can match."""
        return self.tag is not None and not _TAG.fullmatch(self.tag)

    @property
    def is_digest_prefix(self) -> bool:
        """Whether the digest is shortened, and must first be found to be unique."""
        return self.digest is not None and not _DIGEST.fullmatch(self.digest)

    def __str__(self) -> str:
        if self.digest is not None:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}" if self.tag is not None else self.repository


def parse_reference(text: str) -> Reference:
    """Read `repo`, `repo:tag`, `repo:glob` or `repo@sha256:` with at least 12 characters.

    Raises
    ------
    InvalidReference : with a sentence about the part that is wrong.
    """
    if _HOST.fullmatch(text):
        raise InvalidReference(
            f"{_shown(text)} names a host. Leave it out and write only the repository, "
            "such as team/api:1.0."
        )
    rest, at, digest = text.partition("@")
    # A colon counts only after the last slash: before it, it would be a host's port.
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    if at and colon:
        raise InvalidReference(
            f"{_shown(text)} names both a tag and a digest. Give one of the two: they may "
            "no longer belong together."
        )
    repository = Repository.parse(head + slash + name)
    if at:
        return Reference(repository, digest=_digest_or_prefix(digest))
    return Reference(repository, tag=_tag_or_glob(tag) if colon else None)


def _digest_or_prefix(text: str) -> str:
    if _DIGEST.fullmatch(text) or _DIGEST_PREFIX.fullmatch(text):
        return text
    raise InvalidReference(
        f"{_shown(text)} is not a digest: sha256: and at least 12 characters of 0-9 and a-f."
    )


def _tag_or_glob(text: str) -> str:
    if not any(character in text for character in "*?["):
        return Tag.parse(text)
    if len(text) > _TAG_LIMIT or not _GLOB.fullmatch(text):
        raise InvalidReference(
            f"{_shown(text)} is not a pattern for tags: use * ? or [...] among letters, digits, "
            "_ . and -."
        )
    return text


def match_repository(pattern: str, name: str) -> bool:
    """Whether a repository's name matches a pattern.

    `*`, `?` and `[...]` stay within one component of the path. `**` as a component stands for
    any number of them; at the end for at least one, so that `ci/**` does not match `ci`.
    """
    parts = name.split("/")
    # reached[i]: the pattern read so far matches the first i components.
    reached = [True] + [False] * len(parts)
    steps = pattern.split("/")
    for number, step in enumerate(steps):
        following = [False] * (len(parts) + 1)
        if step == "**":
            last = number == len(steps) - 1
            for i in range(len(parts) + 1):
                before = i > 0 and (following[i - 1] or reached[i - 1])
                following[i] = before or (reached[i] and not last)
        else:
            for i, part in enumerate(parts):
                following[i + 1] = reached[i] and fnmatchcase(part, step)
        reached = following
    return reached[-1]


def match_tag(pattern: str, tag: str) -> bool:
    """Whether a tag matches a pattern of `*`, `?`, `[...]`; upper and lower case differ."""
    # fnmatch negates with "!" only; people also write "^", as in a regular expression.
    return fnmatchcase(tag, pattern.replace("[^", "[!"))


def natural_key(tag: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts tags as people count: `v1.9` before `v1.10`, `1.0-rc1` before `1.0`.

    Words come before numbers, a shorter version before a longer one. Never raises; different
    tags have different keys, so that every listing has one order.
    """
    start = 1 if re.match(r"[vV][0-9]", tag) else 0
    tokens = [_token(word) for word in _TOKEN.findall(tag, start)]
    # An end is between pre-release words and everything else that may follow.
    return (*tokens, (1, 0, ""), (2, 0, tag))


def _token(word: str) -> tuple[int, int, str]:
    if word[0] in "0123456789":
        digits = word.lstrip("0")
        # Length, then digits: numeric order without int(), which refuses very long numbers.
        return 3, len(digits), digits
    lower = word.lower()
    if lower in _PRE_RELEASES:
        return 0, _PRE_RELEASES[lower], ""
    return 2, 0, lower


def signature_tags(digest: Digest) -> tuple[str, ...]:
    """The tags under which tools keep signatures, attestations and bills of materials."""
    base = f"{digest.algorithm}-{digest.hex}"
    return base, f"{base}.sig", f"{base}.att", f"{base}.sbom"


def signed_digest(tag: str) -> Digest | None:
    """The digest that a signature tag speaks of; None for every other tag."""
    found = _SIGNATURE.fullmatch(tag)
    return Digest(f"sha256:{found[1]}") if found else None


def _shown(text: str) -> str:
    """Somebody's text inside our sentence: short, and without control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return f'"{clean}"' if len(clean) <= 80 else f'"{clean[:77]}…"'
