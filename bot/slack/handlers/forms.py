"""The form behind a bare `/registry`: opened, and drawn anew with every choice that changes it."""

from collections.abc import Mapping

from bot.operations.context import Asked
from bot.operations.errors import Refusal
from bot.slack import form
from bot.slack.form import Filled
from bot.slack.handlers.base import Click, Clicked, Handlers, Work, done
from bot.slack.opening import FORM
from bot.slack.views import form as view
from bot.slack.views import help as help_view
from bot.slack.views.modals import Modal


class Forms(Handlers):
    """The form."""

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What happens in it."""
        chosen = (form.VERB, form.REGISTRY, form.REPOSITORY)
        return {FORM: self._open, **dict.fromkeys(chosen, self._chosen)}

    async def _open(self, clicked: Clicked) -> Work:
        asked = clicked.asked
        served = self._served(asked)
        if not served:
            raise Refusal("This channel serves no registry.", "`/registry help` tells more.")
        filled = Filled(asked.channel, served, registry=served[0])
        # Without the form, /registry alone is what it is without Slack's forms: the help.
        instead = help_view.help_(self._ctx.policy, asked.actor, asked.channel, "")
        return done(Modal(view.empty(filled), instead))

    async def _chosen(self, clicked: Clicked) -> Work:
        kept: Mapping[str, str] = clicked.body.get("metadata") or {}
        values = clicked.body.get("values") or {}
        served = self._served(clicked.asked)

        def now(action: str, before: str) -> str:
            return next(iter(form.chosen(values, action)), kept.get(before, ""))

        registry = now(form.REGISTRY, "registry")
        if registry not in served:
            raise Refusal(
                "This channel does not serve that registry any more.", "Open the form again."
            )
        repository = ""
        if registry == kept.get("registry"):
            repository = await self._repository(
                clicked.asked, registry, now(form.REPOSITORY, "repository")
            )
        verb = form.offered(now(form.VERB, "verb")).name
        filled = Filled(clicked.asked.channel, served, verb, registry, repository)
        return done(Modal(view.empty(filled), None))

    async def _repository(self, asked: Asked, registry: str, value: str) -> str:
        """The name that a choice stands for: the value itself, unless that was too short for it."""
        if not value.startswith("#"):
            return "" if value == form.NOTHING else value
        names = await self._ctx.registry_for(asked.channel, registry).client.repositories()
        return next((name for name in names if form.option_value(name) == value), "")
