"""`[groups]` and `[local_accounts]`: people by their ids, and names that must be groups."""

from collections.abc import Mapping, Sequence

from bot.rules.policy import ANYONE, Group
from bot.settings.problems import Findings, suggestion
from bot.settings.reading import Document


def build_groups(document: Document, findings: Findings) -> Mapping[str, Group]:
    """The groups of the file; what cannot work goes to `findings`."""
    for name, entry in document.groups.items():
        if name == ANYONE:
            findings.problem(
                entry.key,
                "has a name with a meaning of its own: every full member",
                "Give the group another name.",
            )
        if not entry.table.slack_usergroup and not entry.table.users and not entry.broken:
            findings.warn(entry.key, "nobody is in this group.")
    return {
        name: Group(name, frozenset(entry.table.users), entry.table.slack_usergroup or "")
        for name, entry in document.groups.items()
    }


def check_groups(
    names: Sequence[str], key: str, document: Document, findings: Findings, *, anyone: bool = False
) -> None:
    """Report every name that is no group.

    Parameters
    ----------
    anyone : whether "anyone" may stand here for every full member.
    """
    for name in names:
        if name in document.groups or (anyone and name == ANYONE):
            continue
        if name == ANYONE:
            text, fix = "cannot be “anyone”", "Name the groups whose people are meant."
        else:
            text = f"names the group “{name}”, which does not exist"
            fix = suggestion(name, document.groups) + " Groups are defined under [groups]."
        findings.problem(key, text, fix)
