"""The audit trail: who did what, as a table or a file, and whether it is whole."""

from collections.abc import Mapping
from dataclasses import asdict

from bot.operations import auditing
from bot.operations.errors import Refusal
from bot.slack.commands import Command, parse_duration
from bot.slack.handlers.base import Answer, Handlers, Shown, Typed
from bot.slack.views import audit as view
from bot.slack.views import notices
from bot.slack.words import shown
from bot.store.audit_search import Wanted


class Auditing(Handlers):
    """Reads of the audit trail."""

    @property
    def shown(self) -> Mapping[str, Shown]:
        """What they are typed as."""
        return {"audit": self._audit}

    async def _audit(self, typed: Typed) -> Answer:
        command = typed.command
        if command.arguments == ("verify",):
            return await self._verify(command)
        form = str(command.flags.get("export") or "")
        if form and typed.asked.actor.user.startswith("local:"):
            raise Refusal(
                "Slack sends files; a terminal does not.",
                "Here it is `registry-bot audit export --output PATH`.",
            )
        wanted = self._wanted(typed)
        found, total = await auditing.look(self._ctx, wanted, view.MOST)
        about = _about(command)
        if form and total > view.MOST:
            raise Refusal(
                f"That is {total:,} entries; a file takes {view.MOST:,}.",
                "Narrow it with --since, or use `registry-bot audit export` on the bot's host.",
            )
        oldest_first = [asdict(entry) for entry in reversed(found)]
        if form and total:
            file = view.file(oldest_first, form, about)
            return Answer(notices.said(view.sent(total, form, about)), file)
        answer = view.entries(found, total, about, typed.text)
        long = total > view.fits(found)
        return Answer(answer, view.file(oldest_first, "csv", about) if long else None)

    async def _verify(self, command: Command) -> Answer:
        if command.flags or command.registry:
            raise Refusal(
                "audit verify checks the whole trail, and takes no flag.",
                "Type `/registry audit verify`.",
            )
        report = await auditing.check(self._ctx)
        return Answer(view.checked(report, anchored=bool(self._ctx.audit_channel)))

    def _wanted(self, typed: Typed) -> Wanted:
        command, reference = typed.command, next(iter(typed.command.references), None)
        one = (self._registry(typed).name,) if command.registry else ()
        since = command.flags.get("since")
        return Wanted(
            registries=one or self._served(typed.asked),
            channel=typed.asked.channel,
            elsewhere=not one,
            repository=reference.repository if reference else "",
            tag=(reference.tag or "") if reference else "",
            digest=(reference.digest or "") if reference else "",
            actors=self._ctx.policy.people.ids(command.person) if command.person else (),
            request=command.request,
            since=None if since is None else parse_duration(str(since)),
        )


def _about(command: Command) -> str:
    """What was asked for, as the end of a sentence; a person stands first, by their id."""
    parts = []
    if command.person:
        parts.append(f"by {command.person}")
    if command.references:
        parts.append(f"about {command.references[0]}")
    if command.request is not None:
        parts.append(f"about R{command.request}")
    if command.registry:
        parts.append(f"on {shown(command.registry)}")
    if command.flags.get("since"):
        parts.append(f"of the last {command.flags['since']}")
    return " ".join(parts)
