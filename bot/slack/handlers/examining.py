"""Looking for what is broken: doctor."""

from collections.abc import Mapping

from bot.operations.doctor import doctor
from bot.operations.images import valid_repository
from bot.slack.handlers.base import Answer, Handlers, Shown, Typed
from bot.slack.views import doctor as view
from bot.slack.views import files


class Examining(Handlers):
    """Reads that check what they read."""

    @property
    def shown(self) -> Mapping[str, Shown]:
        """What they are typed as."""
        return {"doctor": self._doctor}

    async def _doctor(self, typed: Typed) -> Answer:
        references = typed.command.references
        name = valid_repository(references[0].repository) if references else ""
        report = await doctor(self._ctx, self._registry(typed), name)
        return Answer(view.report(report, typed.text), files.of_doctor(report))
