"""Verbs that only look: help, whoami, status, repos, tags, inspect, requests, show."""

from collections.abc import Mapping

import bot
from bot.operations import auditing, browse
from bot.operations.context import Context
from bot.operations.images import valid_repository
from bot.slack.delivery import is_in_slack
from bot.slack.handlers.base import Answer, Handlers, Shown, Typed, Verb, Work
from bot.slack.views import audit, files, notices, reading
from bot.slack.views import help as help_view
from bot.slack.views.blocks import Message
from bot.store.store import Transaction


class Reading(Handlers):
    """Reads of the registry and of the store.

    Parameters
    ----------
    more : reads of other modules.
    """

    def __init__(self, ctx: Context, more: Mapping[str, Shown]) -> None:
        super().__init__(ctx)
        self._shown: Mapping[str, Shown] = {
            "repos": self._repos,
            "tags": self._tags,
            "inspect": self._inspect,
            "status": self._status,
            "help": self._help,
            "whoami": self._whoami,
            **more,
        }

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What they are typed as."""
        return {
            **dict.fromkeys(self._shown, self._show),
            "requests": self._requests,
            "show": self._one,
        }

    async def _show(self, typed: Typed) -> Work:
        answer = await self._shown[typed.command.verb](typed)

        async def work(tx: Transaction) -> Message:
            # Whoever shares an answer has its file already.
            if answer.file and _again(typed):
                user, channel = typed.asked.actor.user, typed.asked.channel
                file = answer.file
                await tx.outbox.file_to(user, channel, file.name, file.title, file.content)
            return answer.message

        return work

    async def _help(self, typed: Typed) -> Answer:
        asked, arguments = typed.asked, typed.command.arguments
        topic = arguments[0] if arguments else ""
        return Answer(help_view.help_(self._ctx.policy, asked.actor, asked.channel, topic))

    async def _whoami(self, typed: Typed) -> Answer:
        return Answer(help_view.whoami(self._ctx.policy, typed.asked.actor, typed.asked.channel))

    async def _repos(self, typed: Typed) -> Answer:
        command = typed.command
        result = await browse.repositories(
            self._ctx,
            self._registry(typed),
            command.arguments[0] if command.arguments else "",
            by_size=command.flags.get("sort") == "size",
            all_=bool(command.flags.get("all")),
        )
        return Answer(reading.repositories(result, _again(typed)), files.of_repositories(result))

    async def _tags(self, typed: Typed) -> Answer:
        command = typed.command
        result = await browse.tags(
            self._ctx,
            self._registry(typed),
            valid_repository(
                command.references[0].repository if command.references else command.arguments[0]
            ),
            match=str(command.flags.get("match") or ""),
            by_name=command.flags.get("sort") == "name",
            limit=int(command.flags.get("limit") or 0),
        )
        return Answer(reading.tags(result, _again(typed)), files.of_tags(result))

    async def _inspect(self, typed: Typed) -> Answer:
        result = await browse.inspect(self._ctx, self._registry(typed), typed.command.references[0])
        return Answer(reading.inspection(result, _again(typed)), files.of_inspection(result))

    async def _status(self, typed: Typed) -> Answer:
        if typed.command.registry:
            registries = [self._registry(typed)]
        else:
            registries = [self._ctx.registry(name) for name in self._served(typed.asked)]
        rows = await browse.status(self._ctx, registries)
        troubles = await self._troubles()
        return Answer(reading.status(rows, bot.__version__, typed.text, troubles))

    async def _troubles(self) -> list[str]:
        channel = self._ctx.audit_channel
        async with self._ctx.store.reading() as tx:
            why = await auditing.anchor_trouble(tx, channel)
        return [audit.not_posted(channel, why)] if why else []

    async def _requests(self, typed: Typed) -> Work:
        command, asked = typed.command, typed.asked

        async def work(tx: Transaction) -> Message:
            found = await tx.requests.find(
                registries=[command.registry] if command.registry else self._served(asked),
                requester=asked.actor.user if command.flags.get("mine") else "",
                open_only=not command.flags.get("all"),
            )
            everything = bool(command.flags.get("all"))
            return reading.request_list(found, everything=everything, command=typed.text)

        return work

    async def _one(self, typed: Typed) -> Work:
        async def work(tx: Transaction) -> Message:
            return notices.details(await self._request(tx, typed.command.request or 0, typed.asked))

        return work


def _again(typed: Typed) -> str:
    """The command as its Share button repeats it; "" where there is no button, and no file.

    Those are answers that are shared already, and those to people whom Slack does not know.
    """
    return typed.text if is_in_slack(typed.asked.actor.user) else ""
