"""What the Dockerfile promises, read from it: no engine here can fetch its base image."""

import re

import pytest

from bot.settings import CONFIG_VARIABLE
from tests.test_settings import EXAMPLE

_ROOT = EXAMPLE.parent
TEXT = (_ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Every instruction and its arguments, with continued lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE))
    return [
        (word, rest.strip())
        for word, _, rest in (line.strip().partition(" ") for line in joined.splitlines())
        if word
    ]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def values(word: str) -> list[str]:
    return [rest for found, rest in last_stage() if found == word]


def test_it_ends_without_root() -> None:
    (user,) = values("USER")
    assert user.isdigit(), "an orchestrator that demands a user without root knows numbers only"
    assert int(user) >= 1000
    words = [word for word, _ in last_stage()]
    assert "RUN" not in words[words.index("USER") :]
    assert f"--uid {user} " in values("RUN")[0]


def test_what_it_writes_is_a_volume() -> None:
    (volume,), (directory,) = values("VOLUME"), values("WORKDIR")
    assert volume == directory == "/var/lib/registry-bot"
    (environ,) = values("ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in environ
    assert f"{CONFIG_VARIABLE}=/etc/registry-bot/registry-bot.toml" in environ


def test_everything_installed_was_compared_with_the_lock() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN"]
    pips = [step for run in runs for step in run.split("&&") if re.search(r"\bpip\b", step)]
    assert pips
    for step in pips:
        assert "--require-hashes" in step or "--no-index" in step, step


@pytest.mark.parametrize("image", re.findall(r"^FROM (\S+)", TEXT, flags=re.MULTILINE))
def test_its_base_is_a_version(image: str) -> None:
    assert re.fullmatch(r"python:3\.\d+-slim", image)


def test_it_holds_no_secret_and_takes_none_while_it_is_built() -> None:
    assert not [rest for word, rest in instructions() if word in {"ARG", "ADD"}]
    for word, rest in instructions():
        if word == "ENV":
            assert not re.search(r"TOKEN|SECRET|PASSWORD|PASSWD|KEY", rest)
    copied = {rest for word, rest in instructions() if word == "COPY"}
    assert copied == {
        "requirements.lock ./",
        "pyproject.toml README.md LICENSE ./",
        "bot ./bot",
        "--from=build /opt/registry-bot /opt/registry-bot",
    }


def test_it_says_whether_it_is_well_and_how_it_wants_to_end() -> None:
    assert "HEALTH_URL" in values("HEALTHCHECK")[0]
    assert values("STOPSIGNAL") == ["SIGTERM"]
    assert values("ENTRYPOINT") == ['["registry-bot"]']
