"""What each verb and each button does. Reading happens first, writing in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import bot
from bot.operations import approvals, browse, collection_request, deletion, requesting, undo
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.operations.images import valid_repository
from bot.registry.reference import parse_reference
from bot.rules.approval import Draft, Request, State, Window
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action
from bot.slack.commands import Command, CommandError, parse
from bot.slack.views import collection as gc_view
from bot.slack.views import help as help_view
from bot.slack.views import notices, reading
from bot.slack.views.blocks import Message, context
from bot.store.store import Transaction

Work = Callable[[Transaction], Awaitable[Message | None]]


def done(answer: Message) -> Work:
    """Nothing to store but the answer."""

    async def work(_: Transaction) -> Message:
        return answer

    return work


class VerbRunner:
    """Turns a command or a click into the work that stores its effect.

    Everything slow (the registry, a dry run) happens in `prepare`; the work it returns runs
    inside one transaction and only touches the store.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._reads = {
            "repos": self._repos,
            "tags": self._tags,
            "inspect": self._inspect,
            "status": self._status,
        }
        self._decisions = {
            "approve": approvals.approve,
            "confirm": approvals.approve,
            "deny": approvals.deny,
            "cancel": approvals.cancel,
            "abort": approvals.abort,
        }

    async def prepare(self, command: Command, asked: Asked, text: str, name: str) -> Work:
        """The work of a typed command.

        Raises
        ------
        Refusal, RegistryError, GcError : it cannot be done; nothing was changed.
        """
        verb = command.verb
        if verb in {"help", "whoami"}:
            return done(self._about(verb, command, asked))
        if verb in self._reads:
            return done(await self._reads[verb](command, asked, text.strip()))
        if verb in {"requests", "show"}:
            return self._looking(command, asked, text.strip())
        if verb in {"approve", "deny", "cancel"}:
            return self._deciding(verb, command.request or 0, asked)
        if verb == "undo" or (verb == "purge" and command.request is not None):
            ask = undo.request_undo if verb == "undo" else undo.request_purge_of
            return self._about_request(ask, command.request or 0, asked)
        registry = self._ctx.registry_for(asked.channel, command.registry)
        if verb == "delete":
            made = await deletion.request_delete(self._ctx, asked, registry, command.references)
        elif verb == "purge":
            made = await deletion.request_purge(self._ctx, asked, registry, command.references)
        elif verb == "gc":
            return await self._gc(command, asked, registry, name)
        else:
            raise Refusal(f"{verb} is not here yet.", "`/registry help` lists what is.")
        return self._submitting(made)

    def _about(self, verb: str, command: Command, asked: Asked) -> Message:
        if verb == "whoami":
            return help_view.whoami(self._ctx.policy, asked.actor, asked.channel)
        topic = command.arguments[0] if command.arguments else ""
        return help_view.help_(self._ctx.policy, asked.actor, asked.channel, topic)

    async def _repos(self, command: Command, asked: Asked, share: str) -> Message:
        registry = self._ctx.registry_for(asked.channel, command.registry)
        result = await browse.repositories(
            self._ctx,
            registry,
            command.arguments[0] if command.arguments else "",
            by_size=command.flags.get("sort") == "size",
            all_=bool(command.flags.get("all")),
        )
        return reading.repositories(result, share)

    async def _tags(self, command: Command, asked: Asked, share: str) -> Message:
        registry = self._ctx.registry_for(asked.channel, command.registry)
        result = await browse.tags(
            self._ctx,
            registry,
            valid_repository(
                command.references[0].repository if command.references else command.arguments[0]
            ),
            match=str(command.flags.get("match") or ""),
            by_name=command.flags.get("sort") == "name",
            limit=int(command.flags.get("limit") or 0),
        )
        return reading.tags(result, share)

    async def _inspect(self, command: Command, asked: Asked, share: str) -> Message:
        registry = self._ctx.registry_for(asked.channel, command.registry)
        result = await browse.inspect(self._ctx, registry, command.references[0])
        return reading.inspection(result, share)

    async def _status(self, command: Command, asked: Asked, share: str) -> Message:
        if command.registry:
            registries = [self._ctx.registry_for(asked.channel, command.registry)]
        else:
            listed = self._ctx.policy.channel(asked.channel)
            registries = [self._ctx.registry(n) for n in (listed.registries if listed else ())]
        rows = await browse.status(self._ctx, registries)
        return reading.status(rows, bot.__version__, share)

    def _looking(self, command: Command, asked: Asked, share: str) -> Work:
        async def work(tx: Transaction) -> Message:
            if command.verb == "show":
                return notices.details(await self._request(tx, command.request or 0, asked))
            listed = self._ctx.policy.channel(asked.channel)
            found = await tx.requests.find(
                registries=[command.registry]
                if command.registry
                else (listed.registries if listed else ()),
                requester=asked.actor.user if command.flags.get("mine") else "",
                open_only=not command.flags.get("all"),
            )
            return reading.request_list(
                found, everything=bool(command.flags.get("all")), command=share
            )

        return work

    async def _request(self, tx: Transaction, number: int, asked: Asked) -> Request:
        listed = self._ctx.policy.channel(asked.channel)
        try:
            request = await tx.requests.get(number)
        except KeyError:
            request = None
        if request is None or request.registry not in (listed.registries if listed else ()):
            raise Refusal(
                f"There is no request R{number} on the registries of this channel.",
                "`/registry requests --all` lists them.",
            )
        return request

    def _deciding(self, verb: str, number: int, asked: Asked) -> Work:
        async def work(tx: Transaction) -> Message:
            request = await self._request(tx, number, asked)
            said = await self._decisions[verb](self._ctx, tx, request, asked)
            return notices.said(said.sentence)

        return work

    def _about_request(
        self,
        ask: Callable[[Context, Transaction, Asked, Request], Awaitable[Draft]],
        number: int,
        asked: Asked,
    ) -> Work:
        async def work(tx: Transaction) -> None:
            subject = await self._request(tx, number, asked)
            await requesting.submit(tx, await ask(self._ctx, tx, asked, subject))

        return work

    async def _gc(self, command: Command, asked: Asked, registry: Registry, name: str) -> Work:
        untagged = bool(command.flags.get("delete-untagged"))
        if command.flags.get("dry-run"):
            seen = await collection_request.preview(
                self._ctx, registry, delete_untagged=untagged, name=name, limited=False
            )

            async def look(tx: Transaction) -> Message:
                windows = await tx.windows.open_on(registry.name)
                return gc_view.dry_run(registry.name, seen, _by_request(windows))

            return look
        made = await collection_request.request_collection(
            self._ctx, asked, registry, delete_untagged=untagged, name=name
        )
        return self._submitting(made)

    def _submitting(self, made: Draft) -> Work:
        async def work(tx: Transaction) -> None:
            fingerprint = ""
            if made.action in {Action.DELETE, Action.PURGE}:
                fingerprint = DeletionPlan.from_json(made.plan).fingerprint
            if made.action == Action.GC and await tx.requests.open_on(made.registry, Action.GC):
                raise Refusal(
                    f"Somebody asked for a collection of {made.registry} at the same moment.",
                    "`/registry requests` lists it.",
                )
            await requesting.submit(tx, made, fingerprint)

        return work

    async def prepare_click(
        self, action: str, body: Mapping[str, Any], asked: Asked, name: str
    ) -> Work:
        """The work of a pressed button.

        Raises
        ------
        Refusal, RegistryError, GcError : it cannot be done; nothing was changed.
        """
        value = str(body.get("value", ""))
        if action == "share":
            return await self._share(value, asked, name)
        if action.startswith("purge_now_"):
            number = int(value[1:]) if value[1:].isdigit() else 0
            return self._about_request(undo.request_purge_of, number, asked)
        if action in {"undo", "purge_now"}:
            ask = undo.request_undo if action == "undo" else undo.request_purge_of
            return self._by_button(body, asked, lambda r: self._about_request(ask, r.id, asked))
        if action == "details":
            return self._by_button(body, asked, lambda r: done(notices.details(r)))
        if action == "again":
            return await self._again(body, asked)
        if action in self._decisions:
            return self._by_button(
                body, asked, lambda r: self._deciding(action, r.id, asked), ours=True
            )
        raise Refusal("This button does nothing any more.", "Type `/registry help`.")

    def _by_button(
        self,
        body: Mapping[str, Any],
        asked: Asked,
        then: Callable[[Request], Work],
        *,
        ours: bool = False,
    ) -> Work:
        async def work(tx: Transaction) -> Message | None:
            request = await self._clicked(tx, body, asked)
            if ours and request.state is not State.PENDING:
                # Somebody sees old buttons: bring the message up to date for everybody.
                await tx.outbox.refresh(request.id)
            return await then(request)(tx)

        return work

    async def _clicked(self, tx: Transaction, body: Mapping[str, Any], asked: Asked) -> Request:
        request = await tx.requests.by_token(str(body.get("value", "")))
        if request is None:
            raise Refusal(
                "This button belongs to no request that the bot knows.",
                "`/registry requests` lists the open ones.",
            )
        if request.channel != asked.channel:
            raise Refusal(
                f"{request.name} belongs to another channel; nothing was done.",
                f"`/registry show {request.name}` in its own channel shows it.",
            )
        stamp = str(body.get("message_ts", ""))
        if stamp and stamp != request.message_ts and not body.get("ephemeral"):
            # The bot died between posting the message and writing down where it is, and perhaps
            # another process has posted it again. Both copies carry the same token, which nobody
            # can guess, so a click on either counts; the one that people use becomes the one.
            await tx.requests.change(request.id, message_ts=stamp)
            await tx.outbox.refresh(request.id)
            if request.message_ts:
                await tx.outbox.retire(request.id, request.channel, request.message_ts)
            return await tx.requests.get(request.id)
        return request

    async def _share(self, text: str, asked: Asked, name: str) -> Work:
        try:
            command = parse(text)
        except CommandError as error:
            raise Refusal(error.sentence, error.hint) from error
        if command.verb not in {*self._reads, "requests"}:
            raise Refusal("Only what was read can be shared.", "")
        shown = await self.prepare(command, asked, "", name)

        async def work(tx: Transaction) -> Message:
            answer = await shown(tx)
            if answer is not None:
                note = f"Shared by <@{asked.actor.user}>: `/registry {command.verb}`"
                blocks = [*answer["blocks"], context(note)]
                await tx.outbox.post(
                    {
                        "user": asked.actor.user,
                        "channel": asked.channel,
                        "message": {"text": answer["text"], "blocks": blocks},
                    }
                )
            return notices.said("Shared with the channel.")

        return work

    async def _again(self, body: Mapping[str, Any], asked: Asked) -> Work:
        async with self._ctx.store.reading() as tx:
            request = await self._clicked(tx, body, asked)
        if request.state is not State.OUTDATED:
            raise Refusal(f"{request.name} is {request.state}, not outdated.", "")
        registry = self._ctx.registry(request.registry)
        reason = asked.reason or request.reason
        asked = Asked(asked.actor, asked.channel, reason)
        if request.action == Action.DELETE:
            references = [parse_reference(f"{i.repository}:{i.tag}") for i in request.items]
            made = await deletion.request_delete(self._ctx, asked, registry, references)
        elif request.action == Action.PURGE:
            names = [f"{i.repository}@{i.digest}" for i in request.items]
            references = [parse_reference(name) for name in names]
            made = await deletion.request_purge(self._ctx, asked, registry, references)
        else:
            raise Refusal(f"Ask for it again with `/registry {request.action}`.", "")
        return self._submitting(made)


def _by_request(windows: Sequence[Window]) -> list[tuple[str, int, float]]:
    """Name, bytes and end of the open windows of each request."""
    sizes: dict[int, int] = {}
    for window in windows:
        sizes[window.request] = sizes.get(window.request, 0) + window.size
    ends = {window.request: window.until for window in windows}
    return [(f"R{number}", count, ends[number]) for number, count in sizes.items()]
