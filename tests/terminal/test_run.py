"""Commands in a terminal, on a real registry and without any Slack."""

import asyncio
from pathlib import Path

import pytest

from bot.rules.approval import State
from bot.store import store as store_module
from bot.store.store import Store, StoreUnusable
from tests.support.host import CHANNEL, RULES, Host, Told, tags_of
from tests.support.many import tag_as
from tests.support.real_registry import RealRegistry, push_image

pytestmark = pytest.mark.anyio


async def test_a_read_prints_what_slack_would_show(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "team/api", "1.4.0")
    told = await host.run("tags team/api")
    assert told.code == 0
    assert told.err == ""
    assert "team/api on corp: 1 tag, newest first" in told.out
    assert "Tag    Digest" in told.out
    assert "1.4.0  " in told.out
    assert "Share" not in told.out


async def test_no_file_is_promised_where_there_are_no_direct_messages(
    host: Host, registry: RealRegistry
) -> None:
    pushed = await push_image(registry.url, "team/api", "t0")
    await tag_as(registry.url, "team/api", pushed, [f"t{n}" for n in range(1, 120)])
    told = await host.run("tags team/api")
    assert "The first 99 of 120 are shown. --match and --limit narrow it." in told.out
    assert "CSV" not in told.out


async def test_what_is_typed_for_slack_is_understood(host: Host) -> None:
    told = await host.run("/registry WHOAMI")
    assert told.code == 0
    assert "You are local:ann" in told.out
    assert "This host serves corp." in (await host.run("help")).out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frobnicate", "There is no verb frobnicate."),
        ("tags nowhere", "nowhere"),
        ("show R7", "There is no request R7"),
        ("tags team/api --lmit 3", "--limit"),
    ],
)
async def test_a_refusal_says_why_on_standard_error(host: Host, text: str, said: str) -> None:
    told = await host.run(text)
    assert told.code == 1
    assert said in told.err
    assert told.out == ""


async def test_a_deletion_is_confirmed_and_carried_out_here(
    host: Host, registry: RealRegistry
) -> None:
    await push_image(registry.url, "scratch/x", "1")
    await push_image(registry.url, "scratch/x", "2")
    told = await host.run('delete scratch/x:1 --reason "old & <odd>"', answer=True)
    assert told.code == 0, told.err
    assert "goes: scratch/x:1" in told.out, "the plan was not shown"
    assert "old & <odd>" in told.out
    assert "R1 · ✔ done" in told.out
    assert "0 B freed: undo until" in told.out
    assert await tags_of(registry, "scratch/x") == ["2"]
    request = await host.request(1)
    assert (request.requester, request.team, request.channel) == ("local:ann", "local", "C0OPS")
    events = host.audit()
    for event in ("request.created", "request.approved"):
        assert (event, "local:ann", "local") in events
    assert events[-1][0] == "request.finished"

    back = await host.run("undo R1", answer=True)
    assert back.code == 0, back.err
    assert "restored" in back.out
    assert await tags_of(registry, "scratch/x") == ["1", "2"]


async def test_a_no_cancels_it(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "scratch/x", "1")
    for answer, said in ((False, ""), (None, "--yes confirms beforehand")):
        told = await host.run("delete scratch/x:1", answer=answer)
        assert told.code == 1
        assert said in told.err
        assert "You cancelled R" in told.out
    assert (await host.request(2)).state is State.CANCELLED
    assert await tags_of(registry, "scratch/x") == ["1"]


async def test_what_others_approve_waits_for_them(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "team/api", "1")
    told = await host.run("delete team/api:1", answer=True)
    assert told.code == 0
    assert "Needs 1 approval of @U0BOB, @U0CAT" in told.out
    assert 'R1 waits for its approval, in Slack or by registry-bot run "approve R1".' in told.out
    own = await host.run("approve R1")
    assert own.code == 1
    assert "You asked for this yourself" in own.err
    assert await tags_of(registry, "team/api") == ["1"]
    assert (await host.request(1)).state is State.PENDING
    assert host.audit()[-1] == ("refused", "local:ann", "local")


async def test_an_approved_request_that_nobody_works_on_is_taken_up(
    host: Host, registry: RealRegistry
) -> None:
    await push_image(registry.url, "team/api", "1")
    await host.run("delete team/api:1")
    await host.approve(1, "U0BOB")
    assert await tags_of(registry, "team/api") == ["1"]
    told = await host.run("approve R1", account="root")
    assert "already decided" in told.err
    assert told.code == 0
    assert "R1 · ✔ done" in told.out
    assert await tags_of(registry, "team/api") == []


async def test_a_request_that_fails_ends_with_one(host: Host, registry: RealRegistry) -> None:
    await push_image(registry.url, "team/api", "1", layers=[b"old"])
    await host.run("delete team/api:1")
    await push_image(registry.url, "team/api", "1", layers=[b"new"])
    await host.approve(1, "U0BOB")
    told = await host.run("approve R1")
    assert told.code == 1
    assert "outdated" in told.err
    assert "Nothing was deleted" in told.err
    assert await tags_of(registry, "team/api") == ["1"]


async def test_missing_parts_are_listed(host: Host, registry: RealRegistry) -> None:
    """As the seed's registry-image-delete.sh did."""
    await push_image(registry.url, "team/api", "1.4.0")
    for text in ("delete", "purge", "inspect", "tags"):
        told = await host.run(text)
        assert told.code == 1
        assert f"{text} needs" in told.err
        assert "Repository  Tags" in told.out
        assert "team/api" in told.out
    told = await host.run("delete team/api")
    assert told.code == 1
    assert "whole repository" in told.err
    assert "Tag    Digest" in told.out
    assert "1.4.0" in told.out
    nowhere = await host.run("delete nowhere")
    assert nowhere.out == ""
    assert nowhere.err.count("nowhere") == 1, "said twice"


async def test_every_registry_is_served(host: Host, registry: RealRegistry, tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "edge") as edge:
        await push_image(edge.url, "scratch/x", "1")
        host.registries = (("corp", registry.url), ("edge", edge.url), ("lone", edge.url))
        host.write(
            '[[channels]]\nid = "C0CORP"\nregistries = ["corp"]\n'
            '[[channels]]\nid = "C0EDGE"\nregistries = ["corp", "edge"]\n' + RULES
        )
        unsaid = await host.run("repos")
        assert unsaid.code == 1
        assert "--on corp or --on edge or --on lone" in unsaid.err
        wrong = await host.run("repos --on egde")
        assert "Did you mean edge?" in wrong.err
        assert "scratch/x" in (await host.run("repos --on edge")).out
        assert "scratch/x" in (await host.run("delete --on edge")).out
        await host.run("delete scratch/x:1 --on edge")
        assert (await host.request(1)).channel == "C0EDGE"
        done = await host.run("delete scratch/x:1 --on lone", answer=True)
        assert done.code == 0, done.err
        assert (await host.request(2)).channel == "", "no channel serves it"


async def test_a_registry_that_is_down(host: Host, registry: RealRegistry) -> None:
    registry.stop()
    told = await host.run("repos")
    assert told.code == 1
    assert "refuses connections" in told.err
    assert "Traceback" not in told.err


async def test_a_locked_store(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await host.run("whoami")
    monkeypatch.setattr(store_module, "_PRAGMAS", ("busy_timeout=50", "foreign_keys=ON"))
    other = await Store.open(f"sqlite:///{host.directory}/bot.db")
    async with other.transaction():
        with pytest.raises(StoreUnusable, match="locked"):
            await host.run("whoami")
    await other.close()


async def test_what_stands_before_it_is_named_and_a_stop_hands_it_over(
    host: Host, registry: RealRegistry
) -> None:
    await push_image(registry.url, "scratch/x", "1")
    await host.run("delete scratch/x:1")  # cancelled; makes the store
    store = await Store.open(f"sqlite:///{host.directory}/bot.db")
    async with store.transaction() as tx:
        await tx.jobs.add("collect", registry="corp", exclusive=True, request_id=1)
    held = await store.claim_job("serve", 60.0, request=1)
    assert held is not None
    told = Told()
    running = asyncio.create_task(host.run("delete scratch/x:1", answer=True, told=told))
    await told.until("R2 waits: R1 is at work on corp: this one begins when that has ended.")
    told.stop.set()
    await running
    assert told.code == 1
    assert 'registry-bot run "approve R2"' in told.err
    assert await tags_of(registry, "scratch/x") == ["1"]
    async with store.transaction(held) as tx:
        await tx.jobs.finish(held)
    await store.close()
    again = await host.run("approve R2")
    assert again.code == 0, again.err
    assert await tags_of(registry, "scratch/x") == []


async def test_accounts_count_as_their_people_and_slack_is_not_asked(
    host: Host, registry: RealRegistry
) -> None:
    await push_image(registry.url, "scratch/x", "1")
    ops = 'ops = { slack_usergroup = "S0OPS", users = ["U0BOB"] }'
    rules = RULES.replace('requesters = ["anyone"]', 'requesters = ["ops"]', 1)
    rules = rules.replace("[groups]", f"[groups]\n{ops}")
    host.write(CHANNEL + rules + '[local_accounts]\nbob = "U0BOB"\nann = "U0ANN"\n')
    told = await host.run("delete scratch/x:1", answer=True)
    assert told.code == 1
    assert "in the group “ops” (the terminal does not ask it)" in told.err
    assert "the rule “scratch”" in told.err
    assert await tags_of(registry, "scratch/x") == ["1"]
    told = await host.run("delete scratch/x:1", account="bob", answer=True)
    assert told.code == 0, told.err
    assert await tags_of(registry, "scratch/x") == []


async def aged(registry: RealRegistry, repository: str) -> None:
    for year in (2019, 2020, 2021):
        created = f"{year}-06-01T00:00:00Z"
        await push_image(registry.url, repository, f"v{year}", created=created)


async def test_a_cleanup_is_shown_then_requested_and_confirmed(
    host: Host, registry: RealRegistry
) -> None:
    await aged(registry, "scratch/x")
    told = await host.run("cleanup scratch/x --keep 1", answer=True)
    assert told.code == 0, told.err
    assert "Goes 2 tags, the oldest first: v2019 (2019-06-01), v2020 (2020-06-01)" in told.out
    assert "among the 1 newest: v2021" in told.out
    assert "local:ann asks to clean up 2 tags" in told.out
    assert await tags_of(registry, "scratch/x") == ["v2021"]
    assert (await host.request(1)).channel == "C0OPS"


@pytest.mark.parametrize("answer", [False, None])
async def test_a_cleanup_that_nobody_requests(
    host: Host, registry: RealRegistry, answer: bool | None
) -> None:
    await aged(registry, "team/api")
    told = await host.run("cleanup team/api --keep 1", answer=answer)
    assert told.code == 0
    assert "Goes 2 tags" in told.out
    assert ("--yes" in told.out) is (answer is None)
    assert "request.created" not in [event for event, *_ in host.audit()]
    nothing = await host.run("cleanup team/api --keep 9")
    assert "Nothing to clean up" in nothing.out
    refused = await host.run("cleanup team/api")
    assert (refused.code, "No [[retention]] rule covers" in refused.err) == (1, True)
