"""Answers to reads: within Slack's limits, harmless, and honest about what they leave out."""

import dataclasses
from datetime import UTC, datetime

import pytest

from bot.operations.browse import (
    Health,
    Inspection,
    PlatformRow,
    Repositories,
    RepositoryRow,
    TagRow,
    Tags,
)
from bot.registry.manifest import OCI_INDEX, OCI_MANIFEST
from bot.rules.approval import State, WindowState
from bot.rules.plan import Parent
from bot.slack.limits import problems
from bot.slack.views import reading
from bot.slack.views.blocks import (
    Message,
    day,
    duration,
    listed,
    many,
    rows_that_fit,
    size,
    stop,
    table,
    without_new_blocks,
    words,
)
from tests.support.shown import (
    ACTIONS,
    HOSTILE,
    LONG,
    LONG_REPOSITORY,
    LONG_TAG,
    NOW,
    STATES,
    buttons,
    check,
    digest,
    made,
    outside_code,
    planned,
    read,
    window,
)

WHEN = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)

AS_FILE = "All of them come as a CSV file in a direct message."


def _rows(message: Message) -> list[list[str]]:
    """The rows of the table below its head."""
    (found,) = [block for block in message["blocks"] if block["type"] == "table"]
    return [[cell["text"] for cell in row] for row in found["rows"]][1:]


def _repositories(*rows: RepositoryRow, hidden: int = 0, prefix: str = "") -> Repositories:
    return Repositories("corp", rows, hidden, prefix)


def _tag(name: str, number: int = 1, **changes: object) -> TagRow:
    row = TagRow(name, digest(number), 1_500_000, WHEN, ("linux/amd64",), ())
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


def _tags(*rows: TagRow, total: int = 0, signatures: int = 0, sort: str = "created") -> Tags:
    return Tags("corp", "team/api", rows, total or len(rows), signatures, sort)


def _inspection(**changes: object) -> Inspection:
    result = Inspection(
        registry="corp",
        host="registry.example:5000",
        repository="team/api",
        asked="v1",
        digest=digest(1),
        media_type=OCI_MANIFEST,
        platforms=(PlatformRow("linux/amd64", digest(1), 1_500_000, 3, WHEN),),
        size=1_500_000,
        tags=("v1", "stable"),
        parents=(),
        signatures=(),
    )
    return dataclasses.replace(result, **changes)  # type: ignore[arg-type]


# -- repositories


def test_repositories_are_listed_and_can_be_shared() -> None:
    shown = reading.repositories(
        _repositories(RepositoryRow("team/api", 12), RepositoryRow("team/web", 1)), "repos"
    )
    check(shown)
    assert _rows(shown) == [["team/api", "12"], ["team/web", "1"]]
    assert "*2 repositories* on corp" in read(shown)
    assert shown["text"].startswith("2 repositories on corp: team/api (12), team/web (1).")
    assert buttons(shown) == ["Share"]


def test_repositories_with_sizes() -> None:
    shown = reading.repositories(_repositories(RepositoryRow("team/api", 12, 3_400_000)), "repos")
    check(shown)
    assert _rows(shown) == [["team/api", "12", "3.4 MB"]]
    assert "*1 repository* on corp" in read(shown)
    assert "each layer once" in read(shown)


@pytest.mark.parametrize(
    ("hidden", "words_"),
    [
        (1, "1 empty repository hidden: `/registry repos --all` shows it."),
        (3, "3 empty repositories hidden: `/registry repos --all` shows them."),
    ],
)
def test_hidden_repositories_are_counted(hidden: int, words_: str) -> None:
    for rows in ((), (RepositoryRow("team/api", 1),)):
        shown = reading.repositories(_repositories(*rows, hidden=hidden), "repos")
        check(shown)
        assert words_ in read(shown)
        assert words_ in shown["text"]


def test_no_repositories() -> None:
    shown = reading.repositories(_repositories(prefix="team/"), "repos team/")
    check(shown)
    assert shown["text"] == "corp has no repositories with the prefix `team/`."
    assert buttons(shown) == []


@pytest.mark.parametrize(("count", "fits"), [(99, 99), (100, 99), (5000, 99)])
def test_a_long_list_of_repositories_says_how_many_are_shown(count: int, fits: int) -> None:
    rows = [RepositoryRow(f"team/{n}", n, n) for n in range(count)]
    shown = reading.repositories(_repositories(*rows), "repos")
    check(shown)
    assert len(_rows(shown)) == fits
    assert f"*{count:,} repositories*" in read(shown)
    told = (
        f"The first {fits} of {count:,} are shown. {AS_FILE} `/registry repos PREFIX` narrows it."
    )
    assert (told in read(shown)) is (count > fits)
    assert f"and {count - 10:,} more" in shown["text"]


def test_long_names_are_shown_whole_and_rows_beyond_10_000_characters_are_dropped() -> None:
    rows = [RepositoryRow(f"{n:03}{LONG_REPOSITORY}"[:255], 7) for n in range(99)]
    shown = reading.repositories(_repositories(*rows), "repos")
    check(shown)
    inside = _rows(shown)
    assert 35 <= len(inside) <= 39
    assert [row[0] for row in inside] == [row.name for row in rows[: len(inside)]]
    assert f"The first {len(inside)} of 99 are shown." in read(shown)


# -- tags


def test_tags_are_listed_with_everything_people_look_for() -> None:
    shown = reading.tags(
        _tags(
            _tag("v2", 2, platforms=("linux/amd64", "linux/arm64"), sharing=("stable",)),
            _tag("v1", 1, size=None, created=None, platforms=()),
            sort="name",
        ),
        "tags team/api",
    )
    check(shown)
    assert _rows(shown) == [
        [
            "v2",
            "000000000000",
            "1.5 MB",
            "2024-05-06 07:08",
            "linux/amd64, linux/arm64",
            "stable",
        ],
        ["v1", "000000000000", "–", "–", "–", "–"],
    ]
    assert "`team/api` on corp: *2 tags*, by name" in read(shown)
    assert shown["text"].startswith("`team/api` on corp: 2 tags, by name: v2 (000000000000), v1")


def test_one_tag_is_one_tag() -> None:
    shown = reading.tags(_tags(_tag("v1")), "tags team/api")
    assert "*1 tag*, newest first" in read(shown)
    assert "1 tags" not in read(shown) + shown["text"]


def test_many_tags_on_one_image_are_shortened() -> None:
    shown = reading.tags(_tags(_tag("v1", sharing=("a", "b", "c", "d"))), "")
    assert _rows(shown)[0][5] == "a, b, c …"
    shown = reading.tags(_tags(_tag("v1", sharing=("a", "b", "c"))), "")
    assert _rows(shown)[0][5] == "a, b, c"


@pytest.mark.parametrize("count", [99, 100, 5000])
def test_a_long_list_of_tags_says_how_many_are_shown(count: int) -> None:
    shown = reading.tags(_tags(*(_tag(f"v{n}", n) for n in range(count))), "tags team/api")
    check(shown)
    assert len(_rows(shown)) == 99
    assert [row[0] for row in _rows(shown)] == [f"v{n}" for n in range(99)]
    told = f"The first 99 of {count:,} are shown. {AS_FILE} `--match` and `--limit` narrow it."
    assert (told in read(shown)) is (count > 99)
    whole = "*99 tags*" if count == 99 else f"*99 of {count:,} tags*"
    assert whole in read(shown)


def test_tags_beyond_the_limit_that_was_asked_for_are_counted() -> None:
    shown = reading.tags(_tags(_tag("v2"), _tag("v1"), total=200), "tags team/api --limit 2")
    check(shown)
    assert "*2 of 200 tags*" in read(shown)
    assert "2 of 200 tags" in shown["text"]
    assert "and 198 more" in shown["text"]
    assert "The first" not in read(shown), "nothing was cut off that was asked for"


def test_tags_of_128_characters_keep_the_table_within_its_limit() -> None:
    rows = [
        _tag(LONG_TAG, n, sharing=(LONG_TAG,) * 5, platforms=("linux/amd64",) * 30)
        for n in range(99)
    ]
    shown = reading.tags(dataclasses.replace(_tags(*rows), repository=LONG_REPOSITORY), "tags x")
    check(shown)
    count = len(_rows(shown))
    assert 10 <= count < 99
    assert all(row[0] == LONG_TAG for row in _rows(shown))
    assert f"*{count} of 99 tags*" in read(shown)
    assert f"The first {count} of 99 are shown." in read(shown)


@pytest.mark.parametrize(
    ("count", "told"), [(0, ""), (1, "1 signature tag hidden"), (2, "2 signature tags hidden")]
)
def test_signature_tags_are_counted(count: int, told: str) -> None:
    for rows in ((), (_tag("v1"),)):
        shown = reading.tags(_tags(*rows, signatures=count), "tags team/api")
        check(shown)
        assert ("signature" in read(shown)) is bool(count)
        assert told in read(shown)
        assert told in shown["text"]
        if count:
            assert "`/registry tags team/api --match sha256-*` shows" in read(shown)


def test_a_repository_without_tags() -> None:
    shown = reading.tags(_tags(), "tags team/api")
    check(shown)
    assert shown["text"] == "`team/api` has no tags."


def test_dates_that_no_build_had_are_marked() -> None:
    early = datetime(1970, 1, 1, tzinfo=UTC)
    shown = reading.tags(_tags(_tag("v1", created=early), _tag("v2")), "tags team/api")
    assert _rows(shown)[0][3] == "1970-01-01 00:00?"
    assert _rows(shown)[1][3] == "2024-05-06 07:08"
    assert "older than 1971" in read(shown)
    assert "1971" not in read(reading.tags(_tags(_tag("v2")), ""))


# -- inspect


def test_an_image_is_told_whole() -> None:
    shown = reading.inspection(_inspection(), "inspect team/api:v1")
    check(shown)
    told = read(shown)
    assert "`team/api:v1` on corp" in told
    assert f"*Digest* `{digest(1)}`" in told
    assert f"*Type* OCI image `{OCI_MANIFEST}`" in told
    assert "*Tags* `v1`, `stable`" in told
    assert "*Signatures and attestations* none found" in told
    assert f"```docker pull registry.example:5000/team/api@{digest(1)}```" in told
    assert _rows(shown) == [["linux/amd64", "000000000000", "1.5 MB", "3", "2024-05-06 07:08"]]
    for part in ("team/api:v1", digest(1), "1.5 MB", "`stable`", "docker pull"):
        assert part in shown["text"]
    assert buttons(shown) == ["Share"]


def test_an_image_that_was_asked_for_by_digest() -> None:
    shown = reading.inspection(
        _inspection(asked=digest(1), tags=(), media_type=""), f"inspect team/api@{digest(1)}"
    )
    check(shown)
    assert "`team/api` on corp" in read(shown)
    assert "*Tags* none: only the digest reaches it" in read(shown)
    assert "*Type* `unknown`" in read(shown)
    assert "team/api:sha256:" not in shown["text"]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (1, "1 image of this index is missing: pulling fails on that platform."),
        (2, "2 images of this index are missing: pulling fails on those platforms."),
    ],
)
def test_what_an_index_misses_is_a_warning(missing: int, told: str) -> None:
    gone = PlatformRow("missing", digest(2), None, 0, None, missing=True)
    shown = reading.inspection(
        _inspection(media_type=OCI_INDEX, platforms=(gone,) * missing), "inspect team/api:v1"
    )
    check(shown)
    assert f":warning: {told}" in read(shown)
    assert told in shown["text"]


def test_an_image_with_much_of_everything() -> None:
    names = tuple(f"{n:03}{LONG_TAG}"[:128] for n in range(100))
    shown = reading.inspection(
        _inspection(
            repository=LONG_REPOSITORY,
            platforms=tuple(PlatformRow(f"linux/{n}", digest(n), n, n, WHEN) for n in range(120)),
            tags=names,
            signatures=names,
            parents=tuple(Parent(digest(n), names) for n in range(50)),
        ),
        "inspect x",
    )
    check(shown)
    assert len(_rows(shown)) == 99
    assert "The first 99 of 120 are shown." in read(shown)
    assert "more" in read(shown)
    assert names[0] in read(shown)
    assert names[0] in shown["text"]


# -- status


def test_how_registries_are() -> None:
    rows = [
        Health("corp", deletes="by tag", collection="ready", busy="gc of R3", open_requests=1),
        Health(
            "edge",
            problem="The registry does not answer.",
            hint="Is it up? `/registry status` asks again.",
            collection="no [registries.gc]",
            open_windows=2,
            window_bytes=5_000_000,
        ),
    ]
    shown = reading.status(rows, "1.2.3", "status")
    check(shown)
    for told in (read(shown), shown["text"]):
        assert "Deletion: by tag" in told
        assert "At work: gc of R3" in told
        assert "1 open request, 0 open undo windows" in told
        assert "The registry does not answer." in told
        assert "`/registry status` asks again." in told
        assert "0 open requests, 2 open undo windows holding 5.0 MB" in told
    assert "*corp* answers" in read(shown)
    assert "corp answers" in shown["text"]
    assert ":red_circle: *edge*: " in read(shown)
    assert "registry-bot 1.2.3" in read(shown)


def test_how_no_registry_is() -> None:
    shown = reading.status([], "1.2.3", "status")
    check(shown)
    assert shown["text"] == "This channel serves no registry."


def test_many_registries_are_counted() -> None:
    rows = [Health(f"r{n}", problem=LONG, hint=LONG, collection="ready") for n in range(21)]
    shown = reading.status(
        [dataclasses.replace(row, problem="down", hint="") for row in rows], "1.2.3", "status"
    )
    check(shown)
    assert "and 1 more registry: `/registry status --on NAME`" in read(shown)
    assert buttons(shown) == ["Share"]
    assert problems(reading.status(rows, "1.2.3", "status")) == []


# -- requests


def test_no_requests() -> None:
    shown = reading.request_list([], everything=False, command="requests")
    check(shown)
    assert "`/registry requests --all` shows what was." in shown["text"]
    shown = reading.request_list([], everything=True, command="requests --all")
    check(shown)
    assert shown["text"] == "There are no requests here."


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_every_request_has_a_line(action: str, state: State) -> None:
    shown = reading.request_list([made(action, state)], everything=True, command="requests")
    check(shown)
    for told in (read(shown), shown["text"]):
        assert "R42" in told
        assert action in told
        assert str(state) in told
    assert "by <@U0ANN>" in read(shown)
    assert "  " not in read(shown)


def test_a_line_says_what_and_until_when() -> None:
    shown = reading.request_list(
        [made("delete", State.DONE, windows=(window(1),), undo_until=NOW)],
        everything=False,
        command="requests",
    )
    assert "*R42* delete `team/api:v1`, `team/api:v2` by <@U0ANN>: done, undo until <!date^" in (
        read(shown)
    )
    about = reading.request_list([made("undo")], everything=False, command="requests")
    assert "*R42* undo of R7 `team/api:v1`" in read(about)
    gc = reading.request_list([made("gc")], everything=False, command="requests")
    assert "*R42* gc on corp by <@U0ANN>: pending" in read(gc)
    purged = dataclasses.replace(made("delete"), windows=(window(1, WindowState.PURGED),))
    assert "undo until" not in read(
        reading.request_list([purged], everything=True, command="requests")
    )


def test_what_a_line_leaves_out_is_counted() -> None:
    many_ = made("delete", digests=[planned(1, [f"v{n}" for n in range(500)])])
    shown = reading.request_list([many_], everything=False, command="requests")
    check(shown)
    assert "`team/api:v2` and 497 more by" in read(shown)


def test_many_requests_with_long_names_lose_none_unsaid() -> None:
    long = planned(1, [LONG_TAG, LONG_TAG], repository=LONG_REPOSITORY)
    requests = [made("delete", digests=[long], id=n) for n in range(50, 0, -1)]
    shown = reading.request_list(requests, everything=True, command="requests")
    check(shown)
    inside = [n for n in range(1, 51) if f"*R{n}* " in read(shown)]
    assert inside == list(range(51 - len(inside), 51)), "the newest are shown"
    assert 10 < len(inside) < 50
    assert f"{50 - len(inside)} older requests not shown" in read(shown)
    assert f"{50 - len(inside)} older requests not shown" in shown["text"]


def test_fifty_requests_are_all_shown() -> None:
    requests = [made("delete", digests=[planned(1)], id=n) for n in range(50, 0, -1)]
    shown = reading.request_list(requests, everything=True, command="requests")
    check(shown)
    assert all(f"*R{n}* " in read(shown) and f"R{n} " in shown["text"] for n in range(1, 51))


# -- hostile texts


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(text: str) -> None:
    """No registry accepts such names; what a broken or hostile one answers must do no harm."""
    row = TagRow(text, text, 1, WHEN, (text, text), (text, text))
    image = PlatformRow(text, text, 1, 1, None, missing=True)
    messages = [
        reading.repositories(Repositories(text, (RepositoryRow(text, 1),) * 3, 1, text), text),
        reading.repositories(Repositories(text, (), 1, text), text),
        reading.tags(Tags(text, text, (row,) * 3, 3, 1, text), text),
        reading.tags(Tags(text, text, (), 0, 1, text), text),
        reading.inspection(
            Inspection(
                text,
                text,
                text,
                text,
                text,
                text,
                (image,) * 3,
                1,
                (text,) * 3,
                (Parent(text, (text,)), Parent(text, ())),
                (text,),
            ),
            text,
        ),
        reading.status(
            [Health(text, text, text, text, text, text), Health(text, "", "", text, text, text)],
            "1",
            text,
        ),
        reading.request_list(
            [made("delete", digests=[planned(1, [text], repository=text)], registry=text)],
            everything=True,
            command=text,
        ),
    ]
    for message in messages:
        check(message)


def test_names_stay_inside_code() -> None:
    shown = reading.inspection(_inspection(tags=("`*PWNED*`", "v1\n*PWNED*")), "")
    assert "PWNED" in read(shown)
    assert "PWNED" not in outside_code(read(shown))
    assert "PWNED" not in outside_code(shown["text"])


@pytest.mark.parametrize("command", ["", "x" * 1901])
def test_nothing_to_share_has_no_button(command: str) -> None:
    assert buttons(reading.tags(_tags(_tag("v1")), command)) == []


# -- tables


def test_a_table_has_no_empty_cells_and_aligns_numbers() -> None:
    made_ = table(["A", "B"], [["", " "], ["\u202e", "\n"]], right=[1])
    assert [[cell["text"] for cell in row] for row in made_["rows"]] == [
        ["A", "B"],
        ["–", "–"],
        ["–", "–"],
    ]
    assert made_["column_settings"] == [{}, {"align": "right"}]


@pytest.mark.parametrize(
    ("length", "count", "fits"),
    [(1, 99, 99), (1, 100, 99), (101, 99, 99), (102, 99, 98), (249, 99, 40), (250, 99, 39)],
)
def test_a_table_holds_99_rows_and_10_000_characters(length: int, count: int, fits: int) -> None:
    rows = [["x" * length]] * count
    assert rows_that_fit(["h"], rows) == fits
    assert len(table(["h"], rows)["rows"]) == fits + 1
    total = sum(len(cell["text"]) for row in table(["h"], rows)["rows"] for cell in row)
    assert total <= 10_000
    assert fits == 99 or total + length > 10_000, "one more would not have fitted"


def test_a_table_without_rows() -> None:
    assert rows_that_fit(["h"], []) == 0
    assert len(table(["h"], [])["rows"]) == 1


@pytest.mark.parametrize("length", [3, 100, 260])
def test_the_older_blocks_show_every_row(length: int) -> None:
    rows = [RepositoryRow(f"<{n:02}>".ljust(length, "&"), n) for n in range(99)]
    shown = reading.repositories(_repositories(*rows), "repos")
    older = without_new_blocks(shown)
    assert problems(older) == []
    assert "table" not in {block["type"] for block in older["blocks"]}
    for row in _rows(shown):
        assert row[0][:4].replace("<", "&lt;").replace(">", "&gt;") in read(older)
    assert buttons(older) == ["Share"]


def test_the_older_blocks_keep_columns_below_each_other() -> None:
    shown = reading.repositories(
        _repositories(RepositoryRow("a", 1), RepositoryRow("team/api", 22)), "repos"
    )
    assert "```Repository  Tags\na           1\nteam/api    22\n```" in read(
        without_new_blocks(shown)
    )


# -- words


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**12, "5.0 TB"),
        (5 * 10**15, "5.0 PB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (45, "45 s"),
        (90, "2 min"),
        (1800, "30 min"),
        (7500, "2 h 5 min"),
        (86400, "24 h"),
        (7 * 86400, "7 d"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_and_lists() -> None:
    assert [many(0, "tag"), many(1, "tag"), many(2, "tag")] == ["0 tags", "1 tag", "2 tags"]
    assert many(5000, "index", "indexes") == "5,000 indexes"
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""
    assert listed(["aa", "bb", "cc"], room=8) == "aa, bb and 1 more"
    assert listed(["a" * 50, "b"], room=8) == "a" * 50 + " and 1 more", "the first is always shown"


def test_free_text_is_one_line_of_plain_words() -> None:
    assert words("a\n*b* `c` <d>\u202e") == "a `*b*` 'c' &lt;d&gt;"
    assert len(words("&" * 1000, 100)) == 99 * 5 + 1
    assert [stop("a"), stop("a."), stop("a!"), stop("a?")] == ["a.", "a.", "a!", "a?"]


def test_dates_are_utc() -> None:
    assert day(None) == "–"
    assert day(WHEN) == "2024-05-06 07:08"
