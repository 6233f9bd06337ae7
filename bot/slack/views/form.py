"""The form that builds a command, and the plan that it shows before it asks."""

from collections.abc import Sequence
from dataclasses import fields

from bot.rules.approval import Draft, Request, State
from bot.rules.plan import DeletionPlan
from bot.slack import form
from bot.slack.form import Filled
from bot.slack.verbs import Flag, Verb
from bot.slack.views import request as request_view
from bot.slack.views import suggestions
from bot.slack.views.blocks import Block, context, section, words
from bot.slack.views.modals import REASON, View, field, modal, shortened

PLAN = "plan"

_HINTS = {"GLOB": "such as pr-*", "N": "a number", "DUR": "such as 12h or 30d"}
_ROOM = 40_000


def empty(filled: Filled) -> View:
    """The form with the fields of the verb that is chosen."""
    verb = form.offered(filled.verb)
    blocks = [_verbs(verb)]
    if filled.is_asked_which:
        blocks.append(_registries(filled))
    if form.takes_repository(verb):
        blocks.append(_repository(verb, filled))
    if form.takes_tags(verb):
        blocks.append(_tags(verb, filled))
    blocks += [_flag(flag) for flag in form.flags(verb)]
    if form.switches(verb):
        blocks.append(_switches(form.switches(verb)))
    if flag := form.reason(verb):
        blocks.append(_reason(flag))
    submit = "Show the plan" if verb.name in form.PLANNED else "Go"
    return modal(
        "Registry", blocks, submit=submit, callback=form.CALLBACK, metadata=filled.metadata
    )


def _menu(kind: str, action: str, placeholder: str, **more: object) -> Block:
    text = {"type": "plain_text", "text": placeholder}
    return {"type": kind, "action_id": action, "placeholder": text, **more}


def _told_at_once(block: Block) -> Block:
    return {**block, "dispatch_action": True}


def _verbs(verb: Verb) -> Block:
    groups = [
        {
            "label": {"type": "plain_text", "text": title},
            "options": [_verb(one) for one in verbs],
        }
        for title, verbs in form.groups()
    ]
    element = _menu(
        "static_select", form.VERB, "What to do", option_groups=groups, initial_option=_verb(verb)
    )
    return _told_at_once(field("verb", "What to do", element))


def _verb(verb: Verb) -> Block:
    return suggestions.option(f"{verb.name}: {verb.summary}", verb.name)


def _registries(filled: Filled) -> Block:
    options = [suggestions.option(name, name) for name in filled.registries[:100]]
    element = _menu(
        "static_select",
        form.REGISTRY,
        "Registry",
        options=options,
        initial_option=suggestions.option(filled.registry, filled.registry),
    )
    return _told_at_once(field("registry", "Registry", element))


def _repository(verb: Verb, filled: Filled) -> Block:
    element = _menu("external_select", form.REPOSITORY, "Type a part of it", min_query_length=0)
    if filled.repository:
        element["initial_option"] = suggestions.repository(filled.repository)
    return _told_at_once(
        field(
            form.block_for(form.REPOSITORY, filled.registry),
            "Repository",
            element,
            optional=not form.needs_repository(verb),
        )
    )


def _tags(verb: Verb, filled: Filled) -> Block:
    most = form.takes_tags(verb)
    hint = "" if filled.repository else "Choose the repository first."
    if most > 1:
        element = _menu(
            "multi_external_select",
            form.TAGS,
            "Type a part of it",
            min_query_length=0,
            max_selected_items=most,
        )
        hint = hint or "A pattern such as pr-* is offered as one choice when you type it."
    else:
        element = _menu("external_select", form.TAGS, "Type a part of it", min_query_length=0)
    kind = "tags" if most > 1 else "tag"
    # Another repository has other tags: the field starts anew with it.
    block = form.block_for(form.TAGS, kind, filled.registry, filled.repository)
    return field(block, kind.title(), element, hint=hint)


def _flag(flag: Flag) -> Block:
    label = flag.name.replace("-", " ").capitalize()
    element: Block
    if flag.choices:
        options = [suggestions.option(choice, choice) for choice in flag.choices]
        element = _menu("static_select", f"{form.FLAG}_{flag.name}", label, options=options)
    else:
        element = _menu(
            "plain_text_input",
            f"{form.FLAG}_{flag.name}",
            _HINTS.get(flag.value, flag.value),
            max_length=200,
        )
    return field(form.flag_block(flag), label, element, optional=not flag.required)


def _switches(flags: Sequence[Flag]) -> Block:
    options = [suggestions.option(flag.name.replace("-", " "), flag.name) for flag in flags[:10]]
    element = {
        "type": "checkboxes",
        "action_id": f"{form.FLAG}_{form.SWITCHES}",
        "options": options,
    }
    return field(form.SWITCHES, "Options", element, optional=True)


def _reason(flag: Flag) -> Block:
    element = _menu("plain_text_input", form.REASON, "Why?", multiline=True, max_length=REASON)
    return field(form.REASON, "Reason", element, optional=not flag.required)


def plan(made: Draft, command: str, now: float, *, moved: bool = False) -> View:
    """What would go, what stays, and who would have to agree, before anybody is asked.

    Parameters
    ----------
    moved : a plan was agreed to before, and this is another one.
    """
    shown = _as_request(made, now)
    blocks = [section(request_view.what(shown))]
    if moved:
        blocks.insert(
            0, section(":warning: *The registry has moved meanwhile.* This is the plan now.")
        )
    if shown.reason:
        blocks.append(section(f"*Why* {words(shown.reason, 1000)}"))
    blocks += request_view.body(shown, limit=1000, room=_ROOM)
    blocks += request_view.deciding(shown)
    blocks = shortened(blocks, "… The rest is too long to be shown here.")
    return modal(
        f"The plan to {made.action}"[:24],
        [*blocks, context("Nothing is asked for yet.")],
        submit="Ask",
        callback=PLAN,
        metadata={
            "channel": made.channel,
            "text": command,
            "plan": DeletionPlan.from_json(made.plan).fingerprint,
        },
    )


def _as_request(made: Draft, now: float) -> Request:
    """The request that this would be, for views that show requests."""
    known = {f.name for f in fields(Request)}
    pinned = {f.name: getattr(made, f.name) for f in fields(Draft) if f.name in known}
    return Request(
        **pinned,
        id=0,
        state=State.PENDING,
        message_ts="",
        created_at=now,
        expires_at=now + made.expires_after,
        decided_at=None,
        finished_at=None,
        undo_until=None,
        abort_by="",
        progress={},
        result={},
    )
