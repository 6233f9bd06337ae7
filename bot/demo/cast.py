"""Who is in the playground's workspace, and where they meet."""

from dataclasses import dataclass

from bot.playground import Workspace


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to play. `may` says what they can do, as a short sentence."""

    id: str
    name: str
    role: str
    may: str
    is_guest: bool = False


ANN = Person("U0ANN", "Ann", "engineer", "asks; cleans up ci/** alone")
BOB = Person("U0BOB", "Bob", "on call", "approves what others ask for")
CAT = Person("U0CAT", "Cat", "on call and lead", "approves too; counts once, whatever Cat is")
DEE = Person("U0DEE", "Dee", "lead", "agrees as the second where team/web is touched")
GUS = Person("U0GUS", "Gus", "guest", "is refused, whatever Gus tries", is_guest=True)
PEOPLE = (ANN, BOB, CAT, DEE, GUS)

OPS = ("C0REGOPS", "registry-ops")
GENERAL = ("C0GENERAL", "general")
AUDIT = ("C0AUDIT", "registry-audit")


def fill_workspace(workspace: Workspace) -> None:
    """Put the people and the channels into a workspace."""
    for person in PEOPLE:
        workspace.add_user(person.id, person.name, is_restricted=person.is_guest)
    for channel, name in (OPS, GENERAL, AUDIT):
        workspace.add_channel(channel, name, [person.id for person in PEOPLE])
