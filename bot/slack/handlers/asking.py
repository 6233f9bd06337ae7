"""Verbs and buttons that make a request: delete, purge, undo, gc, Request again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.operations import collection_request, deletion, emptying, requesting, undo
from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal
from bot.operations.stale import stale
from bot.rules.approval import Draft, Request, State, Window
from bot.rules.plan import DeletionPlan
from bot.rules.policy import EMERGENCY, Action
from bot.rules.preview import spec_from_json
from bot.slack.handlers.base import Click, Clicked, Handlers, Said, Typed, Verb, Work, submitting
from bot.slack.handlers.cleaning import Cleaning
from bot.slack.views import collection as gc_view
from bot.slack.views import form as form_view
from bot.slack.views.blocks import Message
from bot.slack.views.modals import Modal
from bot.store.store import Transaction

_Ask = Callable[[Context, Transaction, Asked, Request], Awaitable[Draft]]


class Asking(Handlers):
    """Requests for a change."""

    def __init__(self, ctx: Context, cleaning: Cleaning) -> None:
        super().__init__(ctx)
        self._cleaning = cleaning

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What they are typed as."""
        return {"delete": self._delete, "purge": self._purge, "undo": self._undo, "gc": self._gc}

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What they are pressed as."""
        return {"undo": self._undo_button, "purge_now": self._purge_button, "again": self._again}

    async def _delete(self, typed: Typed) -> Work:
        return _planned(
            typed,
            await deletion.request_delete(
                self._ctx,
                typed.asked,
                self._registry(typed),
                typed.command.references,
                with_signatures=bool(typed.command.flags.get("with-signatures")),
            ),
        )

    async def _purge(self, typed: Typed) -> Work:
        number = typed.command.request
        along = bool(typed.command.flags.get("with-signatures"))
        if number is not None and along:
            raise Refusal(
                f"R{number} has its images already; --with-signatures is for naming images.",
                f"Type `/registry purge R{number}` without it.",
            )
        if number is not None:
            return self._about(undo.request_purge_of, number, typed.asked)
        if typed.asked.emergency:
            raise Refusal(
                "An emergency never purges images: nobody else would have agreed, and a purge has "
                "no undo window.",
                "Ask for the purge without --emergency; or delete with --emergency, which can be "
                "undone. `purge REQUEST --emergency` ends the undo window of a deletion that "
                "others approved.",
                rule=EMERGENCY,
            )
        return _planned(
            typed,
            await deletion.request_purge(
                self._ctx,
                typed.asked,
                self._registry(typed),
                typed.command.references,
                with_signatures=along,
            ),
        )

    async def _undo(self, typed: Typed) -> Work:
        return self._about(undo.request_undo, typed.command.request or 0, typed.asked)

    def _about(self, ask: _Ask, number: int, asked: Asked) -> Work:
        async def work(tx: Transaction) -> Request:
            subject = await self._request(tx, number, asked)
            return await requesting.submit(tx, await ask(self._ctx, tx, asked, subject))

        return work

    async def _gc(self, typed: Typed) -> Work:
        registry = self._registry(typed)
        untagged = bool(typed.command.flags.get("delete-untagged"))
        dry_run = bool(typed.command.flags.get("dry-run"))
        if dry_run and typed.asked.emergency:
            raise Refusal(
                "A dry run changes nothing, so it needs no emergency.",
                "Leave out --emergency to look, or --dry-run to collect.",
                rule=EMERGENCY,
            )
        if not dry_run:
            return submitting(
                await collection_request.request_collection(
                    self._ctx, typed.asked, registry, delete_untagged=untagged, name=typed.name
                )
            )
        seen = await collection_request.preview(
            self._ctx, registry, delete_untagged=untagged, name=typed.name, limited=False
        )
        empty = await emptying.listed(self._ctx, registry)
        uploads = await stale(registry)
        ask = " ".join(
            ["gc", *(["--delete-untagged"] if untagged else []), f"--on {registry.name}"]
        )

        async def look(tx: Transaction) -> Message:
            windows = await tx.windows.open_on(registry.name)
            return gc_view.dry_run(
                registry.name, seen, _by_request(windows), ask, empty=empty, uploads=uploads
            )

        return look

    async def _undo_button(self, clicked: Clicked) -> Work:
        return self._button(undo.request_undo, clicked)

    async def _purge_button(self, clicked: Clicked) -> Work:
        return self._button(undo.request_purge_of, clicked)

    def _button(self, ask: _Ask, clicked: Clicked) -> Work:
        async def work(tx: Transaction) -> Said:
            request = await self._clicked(tx, clicked)
            return await self._about(ask, request.id, clicked.asked)(tx)

        return work

    async def purge_listed(self, clicked: Clicked) -> Work:
        """Purge now, beside one of the windows that a collection lists."""
        number = int(clicked.value[1:]) if clicked.value[1:].isdigit() else 0
        return self._about(undo.request_purge_of, number, clicked.asked)

    async def _again(self, clicked: Clicked) -> Work:
        async with self._ctx.store.reading() as tx:
            request = await self._clicked(tx, clicked)
        if request.state is not State.OUTDATED:
            raise Refusal(f"{request.name} is {request.state}, not outdated.", "")
        registry = self._ctx.registry(request.registry)
        reason = clicked.asked.reason or request.reason
        asked = Asked(clicked.asked.actor, clicked.asked.channel, reason, request.emergency)
        if request.action == Action.CLEANUP:
            # What a cleanup takes is looked for again, and shown before anybody is asked.
            about = request.plan["cleanup"]
            spec = spec_from_json(about["spec"])
            return await self._cleaning.look(asked, registry.name, about["repository"], spec)
        made = await deletion.request_again(self._ctx, asked, registry, request)
        return submitting(made)


def _planned(typed: Typed, made: Draft) -> Work:
    """Ask for a deletion; whoever wants to see its plan first is shown it, until it stays."""
    seen = DeletionPlan.from_json(made.plan).fingerprint
    if typed.agreed is None or typed.agreed == seen:
        return submitting(made)

    async def show(tx: Transaction) -> Modal:
        moved = bool(typed.agreed)
        view = form_view.plan(made, typed.text, await tx.now(), moved=moved)
        return Modal(view, None)

    return show


def _by_request(windows: Sequence[Window]) -> list[tuple[str, int, float]]:
    """Name, bytes and end of the open windows of each request."""
    sizes: dict[int, int] = {}
    for window in windows:
        sizes[window.request] = sizes.get(window.request, 0) + window.size
    ends = {window.request: window.until for window in windows}
    return [(f"R{number}", count, ends[number]) for number, count in sizes.items()]
