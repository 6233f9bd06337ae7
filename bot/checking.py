"""`registry-bot check`: tries everything that the bot will need, and changes nothing."""

import contextlib
from dataclasses import dataclass

from bot import starting, wiring
from bot.gc.executor import Examined
from bot.operations.browse import DELETES
from bot.operations.context import FALLBACK_PROBE, Registry
from bot.operations.errors import told
from bot.registry.client import DeleteSupport
from bot.registry.errors import RegistryError
from bot.settings import Settings
from bot.settings.policy import unmatched_patterns
from bot.slack.usergroups import UserGroups
from bot.store.store import Store, StoreUnusable


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    ok: bool
    text: str


async def check(settings: Settings) -> int:
    """Print a table of findings; 1 if one of them is a problem."""
    findings = [await _store(settings), await _slack(settings), *await _anchor(settings)]
    findings += await _usergroups(settings)
    known: list[str] = []
    for registry in wiring.registries(settings).values():
        findings += await _registry(registry, known)
    findings += [
        Finding("policy", True, text)
        for text in unmatched_patterns(settings.policy, known, settings.retention)
    ]
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = ("note   " if finding.what == "policy" else "ok     ") if finding.ok else "PROBLEM"
        print(f"{mark}  {finding.what.ljust(width)}  {finding.text}")  # noqa: T201
    return 0 if all(finding.ok for finding in findings) else 1


async def _store(settings: Settings) -> Finding:
    try:
        store = await Store.open(settings.store_url)
    except StoreUnusable as error:
        return Finding("store", False, f"{error.sentence}. {error.hint}")
    await store.close()
    return Finding("store", True, "opens, schema is up to date")


async def _slack(settings: Settings) -> Finding:
    try:
        who = await starting.identify(wiring.slack_client(settings), settings)
    except starting.CannotStart as error:
        return Finding("slack", False, told(error))
    return Finding("slack", True, f"workspace {who.get('team')}, {settings.slack.mode} mode")


async def _anchor(settings: Settings) -> list[Finding]:
    channel = settings.audit_channel
    if not channel:
        return []
    why = await starting.why_not_in(wiring.slack_client(settings), channel)
    told = f"its head cannot be posted to {channel} ({why}): invite the bot there"
    return [Finding("audit", not why, told if why else f"its head is posted daily to {channel}")]


async def _usergroups(settings: Settings) -> list[Finding]:
    """Whether Slack tells who is in the user groups that the policy names."""
    asked = UserGroups(wiring.slack_client(settings), settings.policy.usergroups)
    await asked.refresh()
    findings = []
    for group in settings.policy.usergroups:
        people = asked.members.get(group)
        why = asked.silence.get(group, "it does not answer")
        text = f"{len(people)} people" if people is not None else f"Slack does not tell who: {why}"
        findings.append(Finding(f"user group {group}", people is not None, text))
    return findings


async def _registry(registry: Registry, known: list[str]) -> list[Finding]:
    name = f"registry {registry.name}"
    findings = []
    try:
        await registry.client.ping()
        repositories = await registry.client.repositories()
        known += repositories
        findings.append(Finding(name, True, f"answers, {len(repositories)} repositories"))
        probe = registry.probe_repository or (repositories[0] if repositories else FALLBACK_PROBE)
        support = await registry.client.probe_delete(probe)
        usable = support not in {DeleteSupport.OFF, DeleteSupport.READ_ONLY}
        findings.append(Finding(f"{name}: deletion", usable, DELETES[support]))
        for writer in registry.writers:
            answer = await writer.probe_upload(probe)
            findings.append(Finding(f"{name}: upload", True, f"{writer.url}: {answer}"))
    except RegistryError as error:
        findings.append(Finding(name, False, told(error)))
    finally:
        for client in {registry.client, *registry.writers}:
            with contextlib.suppress(RegistryError):
                await client.aclose()
    # A registry without a collector is a choice, not a problem; a broken collector is one.
    found = Examined(True, registry.gc_note)
    if registry.collector is not None:
        found = await registry.collector.examine()
    return [*findings, Finding(f"{name}: gc", found.ok, found.text)]
