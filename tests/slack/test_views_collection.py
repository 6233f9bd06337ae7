"""What a collection will do, does and did: preview, steps, report."""

import dataclasses
from typing import Any

import pytest

from bot.gc.steps import Step
from bot.operations.collection_request import Preview
from bot.operations.stale import StaleUploads
from bot.operations.untagged import Proven
from bot.rules.approval import Request, State
from bot.slack.views import collection
from bot.slack.views.blocks import message
from bot.slack.views.notices import notice
from bot.slack.views.request import request
from tests.support.shown import (
    BOB,
    HOSTILE,
    LONG,
    NOW,
    STATES,
    buttons,
    check,
    collection_plan,
    digest,
    made,
    read,
)

RESULT: dict[str, Any] = {
    "why": "",
    "planned_blobs": 12,
    "manifests": 0,
    "freed_blobs": 12,
    "freed_bytes": 3_400_000,
    "left_blobs": 0,
    "unknown": False,
    "disk_before": [80_000_000_000, 100_000_000_000],
    "disk_after": [75_000_000_000, 100_000_000_000],
    "taken_over": False,
    "without_pushes": 190.0,
    "collecting": 42.0,
}


def _pending(**plan: Any) -> Request:
    return made("gc", plan=collection_plan(**plan))


def _ended(state: State = State.DONE, **result: Any) -> Request:
    return made("gc", state, result={**RESULT, **result})


def _body(shown: Request) -> str:
    return read(message("x", collection.body(shown)))


# -- before


def test_the_preview_says_what_would_go_and_what_is_meanwhile_impossible() -> None:
    shown = request(_pending())
    check(shown)
    for said in (read(shown).replace("*", ""), shown["text"] + " "):
        assert "Preview" in said
        assert "12 blobs, 3.4 MB" in said
    assert "*Preview* 12 blobs, 3.4 MB. It may differ a little when it runs." in read(shown)
    assert "Pushes are refused while it runs; pulls go on" in read(shown)
    assert "untagged" not in read(shown)


@pytest.mark.parametrize(
    ("preview", "words"),
    [
        ({"blobs": 1, "bytes": 1, "manifests": []}, "*Preview* 1 blob, 1 B."),
        ({"blobs": 2, "bytes": None, "manifests": []}, "*Preview* 2 blobs, bytes unknown."),
        ({"blobs": 0, "bytes": 0, "manifests": ["d"]}, "*Preview* 0 blobs, 0 B, 1 manifest."),
    ],
)
def test_previews(preview: dict[str, Any], words: str) -> None:
    shown = request(_pending(preview=preview))
    assert words in read(shown)
    assert words.replace("*Preview*", "Preview:") in shown["text"]


def test_without_a_preview_it_says_why() -> None:
    shown = request(_pending(preview=None, note="No preview: the dry run takes too long."))
    check(shown)
    assert "No preview: the dry run takes too long." in read(shown)
    assert "None" not in read(shown) + shown["text"]


def test_what_is_risky_is_a_warning() -> None:
    untagged = read(request(_pending(delete_untagged=True)))
    assert ":warning: *Deletes untagged manifests*" in untagged
    assert "Attestations that refer to an image by subject go, too" in untagged
    live = read(request(_pending(unsafe=True)))
    assert ":warning: *unsafe_allow_live_gc is set*" in live
    assert "Pushes are refused" not in live
    offline = read(request(_pending(mode="offline")))
    assert "no pulls and no pushes" in offline
    assert "pulls go on" not in offline


def test_untagged_manifests_are_named_before_and_counted_after() -> None:
    preview = {"blobs": 1, "bytes": 1, "manifests": [digest(n) for n in range(500)]}
    shown = request(_pending(preview=preview, delete_untagged=True))
    check(shown)
    assert "1 B, 500 manifests." in read(shown)
    inside = read(shown).count("`sha256:")
    assert inside > 20
    assert f"and {500 - inside} more" in read(shown)
    assert "*Deleted* 1 untagged manifest" in read(request(_ended(manifests=1)))
    assert "*Deleted*" not in read(request(_ended(State.ABORTED, manifests=1)))


def test_the_proof_for_untagged_manifests_is_told_before_and_after() -> None:
    proof = {"repositories": 1, "tags": 1234, "manifests": 2000}
    preview = {"blobs": 1, "bytes": 1, "manifests": [digest(1)], "proof": proof}
    shown = request(_pending(preview=preview, delete_untagged=True))
    check(shown)
    assert "No tag needs one (read: 1,234 tags in 1 repository)." in read(shown)
    assert "Attestations" not in read(shown)
    unproven = {**preview, "proof": None, "unproven": "there was no time"}
    unknown = read(request(_pending(preview=unproven, delete_untagged=True)))
    assert "is not known yet, as there was no time." in unknown
    ended = read(request(_ended(manifests=1, proof={**proof, "repositories": 56})))
    assert "no tag needed them (read: 1,234 tags in 56 repositories)" in ended


def test_open_windows_can_each_be_ended() -> None:
    shown = request(
        _pending(windows=[[7, 5_000_000], [9, 1]], until={"7": NOW + 3600}),
    )
    check(shown)
    assert "*R7* 5.0 MB until <!date^" in read(shown)
    assert "*R9* 1 B" in read(shown)
    ending = [block["accessory"] for block in shown["blocks"] if block.get("accessory")]
    assert [(b["action_id"], b["value"]) for b in ending] == [
        ("purge_now_7", "R7"),
        ("purge_now_9", "R9"),
    ]
    assert buttons(shown) == ["Purge now", "Purge now", "Approve", "Deny", "Details", "Cancel"]


@pytest.mark.parametrize("count", [5, 6, 100])
def test_more_than_five_windows_are_counted(count: int) -> None:
    shown = request(_pending(windows=[[n, 5] for n in range(1, count + 1)]))
    check(shown)
    assert buttons(shown).count("Purge now") == 5
    assert (f"and {count - 5} more: `/registry requests`" in read(shown)) is (count > 5)
    assert buttons(shown)[-4:] == ["Approve", "Deny", "Details", "Cancel"]


# -- while it runs


@pytest.mark.parametrize("step", list(Step))
def test_each_step_is_shown_as_it_happens(step: Step) -> None:
    plan = collection_plan(remove_empty=["a"])
    running = made("gc", State.RUNNING, plan=plan, progress={"step": step.value})
    shown = request(running)
    check(shown)
    told = read(shown)
    lines = [line for line in told.split("\n") if any(s.label in line for s in Step)]
    assert len(lines) == len(Step)
    for line, one in zip(lines, Step, strict=True):
        mark = {True: ":white_check_mark:", False: ":white_small_square:"}[one.number < step.number]
        assert line.startswith(":arrow_forward:" if one is step else mark)
    assert shown["text"].endswith(f"Now: {step.label}.")
    assert buttons(shown) == ["Abort"]


def test_before_its_first_step_nothing_is_ticked() -> None:
    shown = request(made("gc", State.RUNNING))
    check(shown)
    assert ":white_check_mark:" not in read(shown)
    assert "Now:" not in shown["text"]


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({}, "Collecting\n"),
        ({"marked": 12_345}, "Collecting (12,345 marked)"),
        ({"planned": {"blobs": 1}}, "Collecting (1 blob to delete)"),
        (
            {"marked": 5, "planned": {"blobs": 2}},
            "Collecting (5 marked, 2 blobs to delete)",
        ),
    ],
)
def test_progress_is_counted(progress: dict[str, Any], words: str) -> None:
    shown = made("gc", State.RUNNING, progress={"step": "collect", **progress})
    assert words in _body(shown) + "\n"


def test_a_registry_that_may_be_read_only_is_an_alarm() -> None:
    why = "The registry does not start. Type `systemctl start registry`."
    for state in (State.RUNNING, State.FAILED):
        shown = request(made("gc", state, progress={"step": "restart", "help": why}, result=RESULT))
        check(shown)
        assert f":rotating_light: *The registry may still be read-only.* {why}" in read(shown)
    calm = request(made("gc", State.RUNNING, progress={"step": "restart", "help": ""}))
    assert "read-only.*" not in read(calm)


# -- afterwards


def test_the_report_says_what_was_measured() -> None:
    shown = request(_ended())
    check(shown)
    told = read(shown)
    assert "*Freed* 12 blobs, *3.4 MB* (3,400,000 bytes, measured)" in told
    assert "*Time* 42 s collecting" in told
    assert "*Without pushes* 3 min" in told
    assert "*Disk* 80.0 GB of 100.0 GB (80%) before, 75.0 GB of 100.0 GB (75%) after" in told
    assert shown["text"].endswith("Freed 12 blobs, 3.4 MB (3,400,000 bytes).")
    assert buttons(shown) == ["Details"]
    assert "restarted" not in told


@pytest.mark.parametrize(
    ("result", "words", "text"),
    [
        ({"freed_blobs": 1}, "*Freed* 1 blob, ", "Freed 1 blob, 3.4 MB"),
        (
            {"freed_bytes": None},
            "*Freed* 12 blobs, bytes not measured: `storage_root` is not set",
            "Freed 12 blobs.",
        ),
        (
            {"freed_bytes": None, "freed_blobs": None, "unknown": True, "planned_blobs": 1},
            "what it freed is not known. It was to free 1 blob.",
            "What it freed is not known.",
        ),
        ({"left_blobs": 1}, "1 blob of the plan is still there; the next collection takes it.", ""),
        ({"left_blobs": 2}, "2 blobs of the plan are still there", ""),
        ({"freed_bytes": 1_000, "freed_blobs": 2}, "*Freed* 2 blobs, *1.0 kB*", "2 blobs, 1.0 kB"),
        ({"taken_over": True}, "The bot was restarted on the way", ""),
        ({"freed_bytes": 0, "freed_blobs": 0}, "*Freed* 0 blobs, *0 B*", "Freed 0 blobs, 0 B"),
    ],
)
def test_reports(result: dict[str, Any], words: str, text: str) -> None:
    for state in (State.DONE, State.PARTLY_DONE):
        shown = request(_ended(state, **result))
        check(shown)
        assert words in read(shown)
        assert text in shown["text"]


@pytest.mark.parametrize("state", [State.FAILED, State.ABORTED])
def test_a_collection_that_broke_off_does_not_claim_a_result(state: State) -> None:
    shown = request(_ended(state, freed_blobs=None, freed_bytes=None, why="no space left"))
    check(shown)
    assert "Nothing is known to have been freed." in read(shown)
    assert "*Freed*" not in read(shown)
    assert "Freed" not in shown["text"]


@pytest.mark.parametrize("state", [State.DENIED, State.CANCELLED, State.EXPIRED, State.OUTDATED])
def test_a_collection_that_never_ran_reports_nothing(state: State) -> None:
    shown = request(made("gc", state, result={"why": "the rule default has changed since"}))
    check(shown)
    for said in (read(shown), shown["text"]):
        assert "freed" not in said.lower()
        assert "Preview" not in said


def test_a_request_that_failed_before_its_first_step() -> None:
    shown = request(made("gc", State.FAILED, result={"why": "the registry has no gc settings"}))
    check(shown)
    assert ":x: failed: the registry has no gc settings" in read(shown)


def test_a_disk_of_unknown_size() -> None:
    shown = request(_ended(disk_before=[5_000, 0], disk_after=[4_000, 0]))
    assert "*Disk* 5.0 kB before, 4.0 kB after" in read(shown)
    assert "*Disk*" not in read(request(_ended(disk_before=None)))


@pytest.mark.parametrize("state", STATES)
def test_hostile_texts_stay_texts(state: State) -> None:
    for text in HOSTILE:
        plan = collection_plan(note=text, preview=None)
        progress = {"step": "collect", "help": text, "waiting": text}
        shown = made("gc", state, registry=text, plan=plan, progress=progress)
        check(request(shown))
        check(request(dataclasses.replace(shown, result={**RESULT, "why": text})))
        finished = notice(
            dataclasses.replace(shown, result={**RESULT, "why": text}), "finished", {}
        )
        assert finished is not None
        check(finished)


def test_the_thread_repeats_the_report() -> None:
    finished = notice(_ended(abort_by=BOB), "finished", {})
    assert finished is not None
    check(finished)
    assert "*Freed* 12 blobs" in read(finished)
    assert finished["text"].startswith("R42 is done.")


# -- dry runs


def test_a_dry_run_changes_nothing_and_says_so() -> None:
    shown = collection.dry_run("corp", Preview(12, (), 3_400_000, ""), [])
    check(shown)
    sentence = "A collection of corp would free 12 blobs, 3.4 MB. Nothing was changed."
    assert shown["text"] == sentence
    assert sentence in read(shown)
    assert "`/registry gc` asks for it." in read(shown)
    unknown = collection.dry_run("corp", Preview(1, (), None, ""), [])
    check(unknown)
    assert "1 blob, bytes unknown (`storage_root` is not set)." in unknown["text"]


def test_a_dry_run_lists_manifests_and_windows() -> None:
    shown = collection.dry_run(
        "corp", Preview(1, (digest(1),), 1, ""), [("R7", 5_000_000, NOW + 60)]
    )
    check(shown)
    assert "It would delete 1 untagged manifest: `sha256:000000000000`" in read(shown)
    assert "*R7* 5.0 MB until <!date^" in read(shown)
    assert "more" not in read(shown)
    assert "No tag needs them" not in read(shown)
    proof = Proven(2, 30, 40)
    proven = collection.dry_run("corp", Preview(1, (digest(1),), 1, "", "", proof), [])
    assert "No tag needs them (read: 30 tags in 2 repositories)." in read(proven)


def test_a_dry_run_with_very_much() -> None:
    shown = collection.dry_run(
        "corp",
        Preview(10**9, tuple(digest(n) for n in range(5000)), 10**15, ""),
        [(f"R{n}", 10**12, NOW) for n in range(500)],
    )
    check(shown)
    assert "1,000,000,000 blobs" in shown["text"]
    assert "It would delete 5,000 untagged manifests: " in read(shown)
    manifests = read(shown).count("`sha256:")
    assert f" and {5000 - manifests:,} more" in read(shown)
    windows = sum(f"*R{n}* " in read(shown) for n in range(500))
    assert f"\nand {500 - windows} more" in read(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_dry_runs(text: str) -> None:
    empty = {"names": [text] * 50, "kept": [[text, text]] * 50, "removable": True}
    seen = Preview(1, (text,) * 3, 1, LONG)
    uploads = StaleUploads(problem=text)
    check(collection.dry_run(text, seen, [("R1", 1, NOW)], empty=empty, uploads=uploads))
    check(request(_ended(uploads={"count": 1, "size": 1, "repositories": 1, "problem": text})))


def test_a_dry_run_lists_what_else_lies_in_the_storage() -> None:
    seen = Preview(12, (), 3_400_000, "")
    empty: dict[str, Any] = {
        "names": ["team/app", "old"],
        "kept": [["prod/x", "it is protected (prod)"]],
        "removable": True,
    }
    uploads = StaleUploads(3, 7_000_000, 2)
    told = read(collection.dry_run("corp", seen, [], empty=empty, uploads=uploads))
    assert "*2 empty repositories*: `team/app`, `old`. No collection removes them" in told
    assert "the request for one has a button for it" in told
    assert "*Left alone* `prod/x` (it is protected (prod))" in told
    assert "3 uploads in 2 repositories never ended (nothing written for a day): 7.0 MB" in told
    assert "`storage.maintenance.uploadpurging`" in told
    assert "not looked for" not in told
    reading = {**empty, "removable": False}
    told = read(collection.dry_run("corp", seen, [], empty=reading, uploads=StaleUploads()))
    assert "They stay: the bot may not write to the storage" in told
    assert "never ended" not in told
    blind = read(collection.dry_run("corp", seen, []))
    assert (
        "Empty repositories and uploads that never ended were not looked for: the bot cannot "
        "read the storage itself." in blind
    )


def test_uploads_that_never_ended_are_in_the_report() -> None:
    found = {"count": 1, "size": 5_000, "repositories": 1, "problem": ""}
    told = _body(_ended(uploads=found))
    assert "1 upload in 1 repository never ended (nothing written for a day): 5.0 kB" in told
    assert "`storage.maintenance.uploadpurging`" in told
    assert "never ended" not in _body(_ended(uploads={**found, "count": 0}))
    assert "could not be counted: Permission denied" in _body(
        _ended(uploads={**found, "problem": "Permission denied: /x"})
    )
    assert "were not counted: the bot cannot read the storage itself." in _body(
        _ended(uploads=None)
    )
    assert "never ended" not in _body(_ended())  # the result of an older version


def test_what_was_pulled_afterwards_is_told() -> None:
    canary = {"images": 12, "read": 5_000_000, "glanced": 1, "broken": []}
    told = _body(_ended(canary=canary))
    assert "*Afterwards* 12 images pulled whole, 5.0 MB, every byte right" in told
    assert "of 1 large layer only the end was read" in told
    canary = {**canary, "broken": ["a:1: gone"]}
    told = _body(_ended(State.PARTLY_DONE, canary=canary))
    assert ":rotating_light: *Afterwards* 12 images pulled whole, 5.0 MB: 1 image is broken" in told
