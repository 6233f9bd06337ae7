"""What stays and why, in messages and in the table."""

import csv
import io

import pytest

from bot.registry.manifest import OCI_INDEX, OCI_MANIFEST
from bot.rules.approval import ItemState, State
from bot.rules.plan import Attached, Below, DeletionPlan, Note, Parent, PlannedDigest
from bot.slack.views import files
from bot.slack.views.deletion import is_whole
from bot.slack.views.request import request
from tests.support.shown import buttons, check, digest, items_of, made, planned, read

SIGNATURE = "sha256-" + "a" * 64 + ".sig"


def signed(*, goes: bool = False, orphaned: bool = True) -> PlannedDigest:
    one = Attached(SIGNATURE, digest(7), "signature", digest(1), goes, orphaned)
    return planned(1, ("1.0",), attached=(one,), notes=(Note("until", "stays until its end"),))


def index() -> PlannedDigest:
    return planned(
        1,
        ("multi",),
        is_index=True,
        media_type=OCI_INDEX,
        kept_tags=("=2", "3"),
        parents=(Parent(digest(8), ()), Parent(digest(9), ("all",))),
        platforms=("linux/amd64", "linux/arm64"),
        children=(digest(3),),
        size=100,
        own=40,
        everywhere=30,
        below=(
            Below(digest(2), "linux/amd64", OCI_MANIFEST, 9, "stays", "keeps its own tag `amd`"),
            Below(digest(3), "linux/arm64", OCI_MANIFEST, 11, "goes", "goes with its index"),
            Below(digest(4), "", OCI_MANIFEST, 0, "missing", "is not in the registry"),
        ),
        attached=(Attached(SIGNATURE, digest(7), "signature", digest(1), False, False),),
        notes=(Note("stays", "the image stays: `3` is on it"), Note("date", "dated 1970-01-01")),
    )


def test_children_say_why_they_stay() -> None:
    shown = request(made("delete", digests=[index()]))
    check(shown)
    told = read(shown)
    assert "• 1 image inside it will go with it" in told
    assert f"• the child linux/amd64 `{digest(2)[:19]}` keeps its own tag `amd`" in told
    assert "• 1 image inside it the registry does not have" in told
    assert "• dated 1970-01-01" in told
    assert "100 B, frees 30 B" in told
    assert "the image stays" not in told, "the tags that stay are named on a line of their own"


def test_what_is_over_is_not_explained_any_more() -> None:
    told = read(request(made("delete", State.DONE, digests=[index()])))
    assert "the child" not in told
    assert "1970" not in told


@pytest.mark.parametrize(
    ("action", "state", "plan", "there"),
    [
        ("delete", State.PENDING, signed(), True),
        ("purge", State.PENDING, signed(), True),
        ("delete", State.APPROVED, signed(), False),
        ("delete", State.PENDING, signed(orphaned=False), False),
        ("delete", State.PENDING, signed(goes=True, orphaned=False), False),
    ],
)
@pytest.mark.parametrize("approval", ["required", "confirm"])
def test_the_button_is_there_where_signatures_are_left(
    approval: str, action: str, state: State, plan: PlannedDigest, there: bool
) -> None:
    shown = request(made(action, state, digests=[plan], approval=approval))
    check(shown)
    assert ("Take signatures along" in buttons(shown)) is there
    assert (f"left without an image: `{SIGNATURE}`" in read(shown)) is plan.attached[0].orphaned
    if state is State.PENDING:
        left = f"Left without an image: `team/api:{SIGNATURE}`."
        assert (left in shown["text"]) is plan.attached[0].orphaned


@pytest.mark.parametrize(
    ("read_", "known", "label"),
    [
        (12, 14, "in the 12 of 14 repositories that the bot has read"),
        (14, 14, "in all 14 repositories"),
        (1, 1, "in the one repository there is"),
        (3, 0, "in the 3 repositories that the bot has read"),
    ],
)
def test_bytes_are_labelled_with_where_they_were_counted(
    read_: int, known: int, label: str
) -> None:
    sample = made("delete", digests=[index()])
    plan = {
        **sample.plan,
        "unique_bytes": 4000,
        "unique_everywhere": 3000,
        "repositories_read": read_,
        "repositories_known": known,
    }
    shown = request(made("delete", digests=[index()], plan=plan))
    check(shown)
    frees = f"about 3.0 kB in the end, an estimate: nothing else needs them {label}"
    assert frees in read(shown)
    assert frees in shown["text"]
    assert "Within 1 repository alone it would be 4.0 kB" in read(shown)


def test_a_long_plan_is_summed_up_and_trouble_comes_first() -> None:
    digests = [
        *(planned(n, (f"v{n}",), notes=(Note("stays", "the image stays"),)) for n in range(20)),
        planned(21, ("w",), repository="team/web", notes=(Note("date", "dated 1970"),)),
        signed(),
    ]
    shown = request(made("delete", digests=digests))
    check(shown)
    told = read(shown)
    assert "*In short* 22 tags on 22 digests in 2 repositories" in told
    assert "• `team/api`: 21 tags on 21 digests" in told
    assert "• 20 images stay: something else needs it" in told
    assert "• 1 signature tag left without an image" in told
    assert "• 1 image dated before 1971: no real date" in told
    items = list(items_of(digests, ItemState.DONE))
    last = len(items) - 1
    items[last] = items_of(digests, ItemState.FAILED)[last]
    ended = read(request(made("delete", State.PARTLY_DONE, digests=digests, items=tuple(items))))
    assert "`team/api:1.0` :x: failed" in ended


def test_the_table_has_everything() -> None:
    many = [index(), *(planned(n, (f"v{n}",)) for n in range(10, 30))]
    file = files.of_request(made("delete", digests=many), "plan")
    assert file is not None
    assert (file.name, file.title) == ("R42-plan.csv", "The whole plan of R42")
    rows = list(csv.reader(io.StringIO(file.content, newline="")))
    assert rows[0] == list(files.PLAN_HEAD)
    api, one = "team/api", digest(1)
    about = [OCI_INDEX, "linux/amd64 linux/arm64", "100"]
    behind = [f"{digest(8)} all", SIGNATURE]
    why = "the image stays: 3 is on it; dated 1970-01-01"
    assert rows[1:8] == [
        [api, "multi", one, "goes", *about, "40", "30", *behind, why],
        [api, "'=2", one, "stays", *about, "", "", *behind, "not named in the request"],
        [api, "3", one, "stays", *about, "", "", *behind, "not named in the request"],
        [api, "", digest(2), "stays", OCI_MANIFEST, "linux/amd64", "9", "", "", "multi =2 3", "",
         "the child keeps its own tag amd"],
        [api, "", digest(3), "goes", OCI_MANIFEST, "linux/arm64", "11", "", "", "multi =2 3", "",
         "the child goes with its index"],
        [api, "", digest(4), "missing", OCI_MANIFEST, "", "0", "", "", "multi =2 3", "",
         "the child is not in the registry"],
        [api, SIGNATURE, digest(7), "stays", "", "", "", "", "", "", "",
         "the signature: its image stays"],
    ]  # fmt: skip
    assert len(rows) == 8 + 20


def test_a_plan_that_the_message_shows_needs_no_table() -> None:
    short = made("delete", digests=[planned(n) for n in range(12)])
    assert is_whole(short)
    assert files.of_request(short, "plan") is None
    crowded = made("delete", digests=[planned(1, [f"build-{n:04}" for n in range(100)])])
    assert not is_whole(crowded), "its tags do not all fit"
    assert "Every tag of it is in the CSV file in the thread" in read(request(crowded))
    assert files.of_request(crowded, "plan") is not None
    assert files.of_request(crowded, "nonsense") is None
    assert files.of_request(made("gc"), "plan") is None


def test_a_plan_stored_by_an_older_version_is_read_and_shown() -> None:
    old = {
        "action": "delete",
        "registry": "corp",
        "unique_bytes": 5,
        "method": "placeholder",
        "warnings": [],
        "digests": [
            {
                "repository": "team/api",
                "digest": digest(1),
                "media_type": OCI_MANIFEST,
                "is_index": False,
                "tags": ["v1", "v2"],
                "kept_tags": ["v3"],
                "parents": [{"digest": digest(2), "tags": ["multi"]}],
                "signatures": [SIGNATURE],
                "platforms": [],
                "children": [],
                "missing_children": [],
                "size": 7,
                "own": 5,
            }
        ],
        "touches": [3],
    }
    plan = DeletionPlan.from_json(old)
    assert plan.digests[0].frees == 5
    # Approvals given before an update still stand for the same plan.
    pinned = "622225565800865bdf5857c7c5f63c72"
    assert plan.fingerprint[:32] == pinned
    shown = request(made("delete", digests=[planned(1, ("v1", "v2"))], plan=old))
    check(shown)
    assert "its signature tags stay" in read(shown)
    assert "an estimate within 1 repository" in read(shown)
