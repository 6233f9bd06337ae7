"""`cleanup`, the buttons of its preview, and the button of a collection that is due."""

from collections.abc import Mapping
from dataclasses import replace

from bot.operations import cleanup, collection_request, previewing, requesting
from bot.operations.cleanup_request import request_cleanup
from bot.operations.context import Asked
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.rules.approval import Request
from bot.rules.preview import Preview, PreviewState, Spec
from bot.slack.commands import parse_duration
from bot.slack.handlers.base import Click, Clicked, Handlers, Typed, Verb, Work, submitting
from bot.slack.views.blocks import Message
from bot.slack.views.cleanup import discarded
from bot.store.store import Transaction

_ENDED = {
    PreviewState.LOOKING: "is still being made",
    PreviewState.EMPTY: "found nothing that could go",
    PreviewState.FAILED: "has failed",
    PreviewState.DISCARDED: "was discarded",
    PreviewState.REPLACED: "has been replaced by a newer one",
}


class Cleaning(Handlers):
    """Previews, and the requests that come from them."""

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What they are typed as."""
        return {"cleanup": self._cleanup}

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What they are pressed as."""
        return {
            "cleanup_request": self._request_it,
            "cleanup_discard": self._discard,
            "gc_ask": self._collect,
        }

    async def _cleanup(self, typed: Typed) -> Work:
        registry = self._registry(typed)
        repository = typed.command.references[0].repository
        spec = self._spec(typed, repository)
        return await self.look(typed.asked, registry.name, repository, spec)

    def _spec(self, typed: Typed, repository: str) -> Spec:
        flags = typed.command.flags
        if not {"keep", "older-than", "match"} & flags.keys():
            return cleanup.by_rules(self._ctx, repository)
        keep, older = flags.get("keep"), flags.get("older-than")
        return cleanup.typed(
            repository,
            keep=None if keep is None else int(keep),
            young=None if older is None else parse_duration(str(older)),
            match=str(flags.get("match") or ""),
        )

    async def look(self, asked: Asked, registry: str, repository: str, spec: Spec) -> Work:
        """Begin a preview; its message in the channel speaks for itself.

        In a terminal there is no message that could tell how far it is: there it is looked at once.
        """
        at = self._ctx.registry(registry)
        reader = ImageReader(self._ctx.store, at)
        tags = await cleanup.tags_meant(reader, repository, spec.match)
        looked = None
        if not asked.channel:
            looked = await cleanup.look(self._ctx, at, repository, spec)

        async def work(tx: Transaction) -> Preview:
            preview = await previewing.begin(tx, asked, registry, repository, spec, tags, looked)
            return await tx.previews.get(preview.id)

        return work

    async def _request_it(self, clicked: Clicked) -> Work:
        async with self._ctx.store.reading() as tx:
            preview = await self._previewed(tx, clicked)
        asked = replace(clicked.asked, reason=preview.reason)
        made = await request_cleanup(self._ctx, asked, preview)

        async def work(tx: Transaction) -> Request:
            current = await self._previewed(tx, clicked)
            request = await requesting.submit(tx, made)
            await tx.previews.move(
                current.id,
                [PreviewState.READY],
                PreviewState.REQUESTED,
                request_id=request.id,
                progress={"by": asked.actor.user},
            )
            await tx.outbox.preview(current.id)
            return request

        return work

    async def _discard(self, clicked: Clicked) -> Work:
        async def work(tx: Transaction) -> Message:
            preview = await self._previewed(tx, clicked)
            await tx.previews.move(
                preview.id,
                [PreviewState.READY],
                PreviewState.DISCARDED,
                progress={"by": clicked.asked.actor.user},
            )
            await tx.outbox.preview(preview.id)
            await tx.audit.append(
                "cleanup.discarded",
                actor=clicked.asked.actor.user,
                team=clicked.asked.actor.team,
                channel=clicked.asked.channel,
                registry=preview.registry,
                repository=preview.repository,
                detail={"preview": preview.name},
            )
            return discarded(preview)

        return work

    async def _previewed(self, tx: Transaction, clicked: Clicked) -> Preview:
        """The preview that a button belongs to, if something can still be done with it."""
        preview = await tx.previews.by_token(clicked.value)
        if preview is None:
            raise Refusal(
                "This button belongs to no preview that the bot knows; it forgets old ones.",
                "Look again with `/registry cleanup REPO`.",
                disarms=True,
            )
        again = f"Look again with `/registry cleanup {preview.repository}`."
        if preview.channel != clicked.asked.channel:
            raise Refusal(
                "This preview belongs to another channel; nothing was done.", again, disarms=True
            )
        if preview.registry not in self._served(clicked.asked):
            raise Refusal(f"This channel does not serve {preview.registry} any more.", again)
        if preview.state is PreviewState.REQUESTED:
            raise Refusal(
                f"This preview was asked for already: R{preview.request_id}.",
                f"`/registry show R{preview.request_id}` shows it.",
            )
        if preview.state is not PreviewState.READY:
            raise Refusal(f"This preview {_ENDED[preview.state]}.", again)
        return preview

    async def _collect(self, clicked: Clicked) -> Work:
        """Collect garbage, on the message that says that it is time."""
        registry = self._ctx.registry_for(clicked.asked.channel, clicked.value)
        asked = replace(clicked.asked, reason="scheduled")
        return submitting(
            await collection_request.request_collection(
                self._ctx, asked, registry, delete_untagged=False, name=clicked.name
            )
        )
