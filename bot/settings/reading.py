"""From TOML to tables: every value checked, every unknown key named, each with a fix.

A table with a broken value is not dropped: the value is, and remembered as broken, so that what
is wrong elsewhere in the same table is found in the same run and nothing is reported because of
something already reported.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bot.settings import file
from bot.settings.problems import Findings, suggestion
from bot.settings.values import AccountName, SlackUserId, Unfit

T = TypeVar("T", bound=file.Table)

# Values for what is missing, so that the rest of the table can still be looked at.
_STAND_INS: Mapping[str, object] = {
    "name": "unnamed",
    "url": "https://registry.invalid",
    "id": "C00",
    "registries": ["unnamed"],
    "actions": ["undo"],
    "repositories": ["unnamed"],
    "keep": [{}],
}
_WORDING = {
    "string_type": ("must be text", "Put it in quotes."),
    "bool_type": ("must be true or false", "Write true or false, without quotes."),
    "int_type": ("must be a whole number", "Write digits only, without quotes."),
    "list_type": ("must be a list", 'Put it in brackets, such as ["one", "two"].'),
    "model_type": ("must be a table", "Write its keys in braces: { key = value }."),
    "too_short": ("is empty", "Name at least one."),
    "too_long": ("has too many entries", "Leave some out."),
    "greater_than_equal": ("is too small", "Write a larger number."),
    "less_than_equal": ("is too large", "Write a smaller number."),
}
_ACCOUNT: TypeAdapter[str] = TypeAdapter(AccountName)
_SLACK_USER: TypeAdapter[str] = TypeAdapter(SlackUserId)
_SECRET_KEY = re.compile(r"token|secret|passw|username", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A table of the file, the key that messages call it by, and its keys without a value."""

    key: str
    table: T
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Document:
    """The whole file. `*_names` hold what was named at all, be the table usable or not."""

    slack: Entry[file.SlackTable]
    limits: Entry[file.LimitsTable]
    store: Entry[file.StoreTable]
    defaults: Entry[file.DefaultsTable]
    emergency: Entry[file.EmergencyTable]
    audit: Entry[file.AuditTable]
    groups: Mapping[str, Entry[file.GroupTable]]
    local_accounts: Mapping[str, str]
    registries: tuple[Entry[file.RegistryTable], ...]
    channels: tuple[Entry[file.ChannelTable], ...]
    protected: tuple[Entry[file.ProtectedTable], ...]
    rules: tuple[Entry[file.RuleTable], ...]
    retention: tuple[Entry[file.RetentionTable], ...]

    @property
    def registry_names(self) -> frozenset[str]:
        """The names under which registries may be spoken of."""
        return frozenset(e.table.name for e in self.registries if "name" not in e.broken)

    @property
    def channel_ids(self) -> frozenset[str]:
        """The ids of the listed channels."""
        return frozenset(e.table.id for e in self.channels if "id" not in e.broken)


def read(raw: Mapping[str, Any], findings: Findings) -> Document:
    """The tables of a parsed file; what is wrong with them goes to `findings`."""
    known = [*file.SINGLE, *file.REPEATED, "groups", "local_accounts"]
    for name in raw:
        if name not in known:
            _unknown(name, name, known, findings)
    return Document(
        slack=_single(file.SlackTable, raw, "slack", findings),
        limits=_single(file.LimitsTable, raw, "limits", findings),
        store=_single(file.StoreTable, raw, "store", findings),
        defaults=_single(file.DefaultsTable, raw, "defaults", findings),
        emergency=_single(file.EmergencyTable, raw, "emergency", findings),
        audit=_single(file.AuditTable, raw, "audit", findings),
        groups=_groups(raw.get("groups", {}), findings),
        local_accounts=_local_accounts(raw.get("local_accounts", {}), findings),
        registries=_repeated(file.RegistryTable, raw, "registries", findings),
        channels=_repeated(file.ChannelTable, raw, "channels", findings),
        protected=_repeated(file.ProtectedTable, raw, "protected", findings),
        rules=_repeated(file.RuleTable, raw, "rules", findings),
        retention=_repeated(file.RetentionTable, raw, "retention", findings),
    )


def _single(model: type[T], raw: Mapping[str, Any], name: str, findings: Findings) -> Entry[T]:
    values = raw.get(name, {})
    if isinstance(values, dict):
        return _entry(model, values, name, findings)
    findings.problem(name, "must be one table", f"Write [{name}] above its keys.")
    return Entry(name, model.model_validate({}), frozenset(model.model_fields))


def _repeated(
    model: type[T], raw: Mapping[str, Any], name: str, findings: Findings
) -> tuple[Entry[T], ...]:
    found = raw.get(name, [])
    items = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        findings.problem(name, "must be a list of tables", f"Write [[{name}]] above each of them.")
    if not isinstance(items, list):
        return ()
    return tuple(
        _entry(model, item, f"{name}[{_label(model, item, number)}]", findings)
        for number, item in enumerate(items, 1)
        if isinstance(item, dict)
    )


def _label(model: type[file.Table], values: Mapping[str, Any], number: int) -> str:
    for key in model.model_fields.keys() & {"name", "id"}:
        if isinstance(values.get(key), str) and re.fullmatch(r"[^\[\]\n]{1,80}", values[key]):
            return str(values[key])
    return f"#{number}"


def _groups(found: object, findings: Findings) -> Mapping[str, Entry[file.GroupTable]]:
    if not isinstance(found, dict):
        findings.problem("groups", "must be one table", "Write [groups] above the groups.")
        return {}
    groups: dict[str, Entry[file.GroupTable]] = {}
    for name, values in found.items():
        key = f"groups.{name}"
        if isinstance(values, dict):
            groups[name] = _entry(file.GroupTable, values, key, findings)
            continue
        findings.problem(key, "must be a table", f'Write {name} = {{ users = ["U0123ABCD"] }}.')
        groups[name] = Entry(key, file.GroupTable(), frozenset({"users", "slack_usergroup"}))
    return groups


def _local_accounts(found: object, findings: Findings) -> Mapping[str, str]:
    """Accounts of the host, with the ids of those in Slack who they are."""
    if not isinstance(found, dict):
        findings.problem(
            "local_accounts", "must be one table", "Write [local_accounts] above the accounts."
        )
        return {}
    accounts: dict[str, str] = {}
    for name, value in found.items():
        key = f"local_accounts.{name}"
        try:
            accounts[_ACCOUNT.validate_python(name)] = _SLACK_USER.validate_python(value)
        except ValidationError as error:
            cause = error.errors(include_url=False)[0].get("ctx", {}).get("error")
            text, fix = _WORDING["string_type"]
            if isinstance(cause, Unfit):
                text, fix = cause.text, cause.fix
            findings.problem(key, text, fix)
    return accounts


def _entry(model: type[T], raw: Mapping[str, Any], key: str, findings: Findings) -> Entry[T]:
    values = copy.deepcopy(dict(raw))
    try:
        return Entry(key, model.model_validate(values))
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        _report(model, detail, key, findings)
    # Unknown keys first: what stays wrong without them is broken.
    for detail in details:
        if detail["type"] == "extra_forbidden":
            _parent(values, detail["loc"]).pop(detail["loc"][-1], None)
    broken = frozenset(str(d["loc"][0]) for d in details if d["type"] != "extra_forbidden")
    for name in broken:
        values.pop(name, None)
        if model.model_fields[name].is_required():
            values[name] = _STAND_INS[name]
    return Entry(key, model.model_validate(values), broken)


def _parent(values: Any, loc: tuple[int | str, ...]) -> Any:
    for step in loc[:-1]:
        values = values[step]
    return values


def _report(model: type[file.Table], detail: ErrorDetails, key: str, findings: Findings) -> None:
    loc = detail["loc"]
    full = key + "".join(f"[#{s + 1}]" if isinstance(s, int) else f".{s}" for s in loc)
    kind, context = detail["type"], detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Unfit):
        findings.problem(full, cause.text, cause.fix)
    elif kind == "extra_forbidden":
        _unknown(str(loc[-1]), full, _keys_at(model, loc[:-1]), findings)
    elif kind == "missing":
        findings.problem(full, "is missing", f"Add {loc[-1]} = … to this table.")
    elif kind == "literal_error":
        choices = str(context["expected"]).replace("'", '"')
        wrong = detail["input"] if isinstance(detail["input"], str) else ""
        close = suggestion(wrong, re.findall(r'"([^"]+)"', choices))
        hint = close if close.startswith("Did") else "Write one of these, in quotes."
        findings.problem(full, f"must be {choices}", hint)
    elif kind in _WORDING:
        findings.problem(full, *_WORDING[kind])
    else:
        said = str(detail["msg"]).removeprefix("Input ").removeprefix("should ")
        findings.problem(full, f"must {said}", "Change the value.")


def _keys_at(model: type[file.Table], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that `loc` leads to from `model`."""
    for step in loc:
        if isinstance(step, str):
            model = _NESTED[step]
    return list(model.model_fields)


_NESTED: Mapping[str, type[file.Table]] = {
    "gc": file.GcTable,
    "steps": file.StepTable,
    "keep": file.KeepTable,
}


def _unknown(name: str, key: str, known: list[str], findings: Findings) -> None:
    if _SECRET_KEY.search(name):
        fix = (
            "Secrets are not kept in this file: set SLACK_BOT_TOKEN, SLACK_APP_TOKEN and the like "
            "in the environment, or point SLACK_BOT_TOKEN_FILE to a file."
        )
    else:
        homes = [f"[{t}]" for t, m in file.SINGLE.items() if name in m.model_fields]
        if name == key:
            # At the top of the file: most likely the line above it, with the table, is missing.
            homes += [f"[[{t}]]" for t, m in file.REPEATED.items() if name in m.model_fields]
            homes += ["[registries.gc]"] if name in file.GcTable.model_fields else []
        fix = suggestion(name, known)
        if homes and not fix.startswith("Did"):
            fix = f"It belongs to {' or '.join(homes[:3])}."
    findings.problem(key, "is not a setting that exists here", fix)
