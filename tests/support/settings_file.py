"""Settings as text: a small file that is right, to change one thing in it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.settings import Problem, Settings, SettingsError, load
from tests.support.planted import SECRET

SECRETS: Mapping[str, str] = {
    "SLACK_BOT_TOKEN": f"xoxb-not-a-real-token-{SECRET}",
    "SLACK_APP_TOKEN": f"xapp-not-a-real-token-{SECRET}",
}
REGISTRY = """
[[registries]]
name = "corp"
url = "https://registry.corp:5000"
"""
CHANNEL = """
[[channels]]
id = "C0REGOPS"
registries = ["corp"]
"""
GROUPS = """
[groups]
oncall = { users = ["U0AAA"] }
leads = { users = ["U0BBB", "U0CCC"] }
"""
RULE = """
[[rules]]
name = "default"
actions = ["delete", "purge", "gc"]
requesters = ["anyone"]
approval = "required"
steps = [{ approvers = ["oncall", "leads"], approvals_needed = 1 }]
"""
GOOD = REGISTRY + CHANNEL + GROUPS + RULE


class Writer:
    """Writes settings into a directory and loads them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "registry-bot.toml"

    def load(self, text: str, environ: Mapping[str, str] = SECRETS) -> Settings:
        """The settings that `text` gives."""
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, environ)

    def problems(self, text: str, environ: Mapping[str, str] = SECRETS) -> dict[str, Problem]:
        """Every problem of `text` by its key; a test fails if there is none."""
        with pytest.raises(SettingsError) as caught:
            self.load(text, environ)
        problems = caught.value.problems
        found = {problem.key: problem for problem in problems}
        assert len(found) == len(problems), "one thing was reported twice"
        for problem in problems:
            assert problem.text, problem
            assert problem.fix.endswith((".", "?", "-----")), problem
        return found

    def problem(self, key: str, text: str, environ: Mapping[str, str] = SECRETS) -> Problem:
        """The only problem of `text`, which is about `key`."""
        found = self.problems(text, environ)
        assert list(found) == [key], list(found.values())
        return found[key]
