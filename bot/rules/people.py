"""Who is who, and who is in which group. What is not known is never taken as a yes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.rules.rule import ANYONE, BOT, LOCAL, Group


class Membership(StrEnum):
    """Whether somebody is in a group."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class People:
    """The groups of the settings, with the people that Slack says are in them by now.

    Parameters
    ----------
    members : the people of each Slack user group, by the group's id. A group that is missing is
        one that Slack has not told about lately. It may change at any time.
    local_accounts : the person in Slack behind an account of the host: `{"ann": "U0AAA"}`.
    silence : why Slack does not tell about a user group, in words, by the group's id.
    """

    groups: Mapping[str, Group] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    local_accounts: Mapping[str, str] = field(default_factory=dict)
    silence: Mapping[str, str] = field(default_factory=dict)

    def person(self, user: str) -> str:
        """The one id that stands for somebody, whichever of their ids `user` is."""
        if user.startswith(LOCAL):
            return self.local_accounts.get(user.removeprefix(LOCAL), user)
        return user

    def persons(self, users: Iterable[str]) -> tuple[str, ...]:
        """Everybody once, in the order they come."""
        return tuple(dict.fromkeys(self.person(user) for user in users))

    def ids(self, user: str) -> tuple[str, ...]:
        """Everything that this person may act as."""
        person = self.person(user)
        own = sorted(LOCAL + name for name, known in self.local_accounts.items() if known == person)
        return (person, *own)

    def is_in(self, user: str, names: Iterable[str]) -> Membership:
        """Whether somebody is in one of these groups, under any of their ids."""
        if user == BOT:
            return Membership.NO
        person = self.person(user)
        ids = set(self.ids(user))
        found = Membership.NO
        for name in names:
            group = self.groups.get(name)
            if group is None:
                continue
            if ids & group.users:
                return Membership.YES
            if group.slack_usergroup:
                members = self.members.get(group.slack_usergroup)
                if members is not None and person in members:
                    return Membership.YES
                # An account of the host that stands for nobody in Slack is in none of its groups.
                if members is None and not person.startswith(LOCAL):
                    found = Membership.UNKNOWN
        return found

    def may_be_meant(self, user: str, names: Iterable[str]) -> bool:
        """Whether somebody could be in one of these groups in a way that nobody knows of.

        That is an account of the host which the settings give to nobody, beside a Slack user
        group: a person in it must not get round a rule that forbids by going to the terminal.
        Whoever is in a group that does not exist is not known either.
        """
        nameless = self.person(user).startswith(LOCAL)
        groups = [self.groups.get(name) for name in names if name != ANYONE]
        return any(g is None or (nameless and bool(g.slack_usergroup)) for g in groups)

    def known(self, names: Iterable[str]) -> frozenset[str]:
        """Everybody who is in one of these groups for certain, each by their one id."""
        return frozenset(
            self.person(user)
            for name in names
            if (group := self.groups.get(name)) is not None
            for user in group.users | self.members.get(group.slack_usergroup, frozenset())
        )

    def silent(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these groups whose people are not known, or not all of them."""
        return tuple(
            name
            for name in dict.fromkeys(names)
            if (group := self.groups.get(name)) is not None
            and group.slack_usergroup
            and self.members.get(group.slack_usergroup) is None
        )

    def unheard(self, names: Iterable[str]) -> str:
        """A sentence that says why the people of these groups are not known."""
        silent = self.silent(names)
        because = [
            why
            for name in silent
            if (group := self.groups.get(name)) and (why := self.silence.get(group.slack_usergroup))
        ]
        told = f" ({because[0]})" if because else ""
        word = "group" if len(silent) == 1 else "groups"
        listed = " and ".join(f"“{name}”" for name in silent)
        return f"Slack does not tell who is in the {word} {listed}{told}."
