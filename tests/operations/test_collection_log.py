"""The whole log of a collection: bounded, without secrets, and there after a crash, too."""

from pathlib import Path
from typing import Any

import pytest

from bot.gc.command import CommandExecutor, CommandSettings
from bot.gc.steps import Step
from bot.operations import collection_log
from bot.operations.context import Context
from bot.rules.approval import Request
from bot.telemetry import Redactor
from tests.support.rig import policy
from tests.support.shown import made

pytestmark = pytest.mark.anyio

JOB = "R7-collect"
SECRET = "hunter2-of-the-registry"


@pytest.fixture
def collector(tmp_path: Path) -> CommandExecutor:
    return CommandExecutor(CommandSettings(collect=("x",)), tmp_path, "corp")


def request(*steps: Step) -> Request:
    times = {step.value: 1_795_592_000.0 + number for number, step in enumerate(steps)}
    return made("gc", progress={"times": times})


async def log_of(collector: CommandExecutor, shown: Request, why: str = "", **changes: Any) -> str:
    ctx = Context(None, policy(), {}, 1, None, **changes)  # type: ignore[arg-type]
    return await collection_log.written(ctx, collector, shown, JOB, why)


def printed(collector: CommandExecutor, out: bytes, err: bytes = b"") -> None:
    collector.log_path(JOB).write_bytes(out)
    collector.error_log_path(JOB).write_bytes(err)


async def test_it_has_the_steps_and_all_that_was_printed(collector: CommandExecutor) -> None:
    printed(collector, b"team/app\n", b'level=info msg="Deleting blob: /x"\n')
    text = await log_of(collector, request(Step.SWITCH, Step.COLLECT), "the disk is full")
    assert text.splitlines() == [
        "R42: garbage collection of corp",
        "2026-11-25 07:33:20 UTC  Switching pushes off",
        "2026-11-25 07:33:21 UTC  Collecting",
        "It did not go through: the disk is full",
        "",
        "== collection, output ==",
        "team/app",
        "",
        "== collection, error output ==",
        'level=info msg="Deleting blob: /x"',
    ]


async def test_a_long_one_loses_its_middle_and_says_so(
    collector: CommandExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_log, "LIMIT", 10_000)
    lines = [f"blob eligible for deletion: {number:064x}" for number in range(5_000)]
    printed(collector, "\n".join(lines).encode(), b"x" * 50_000 + b"\nend")
    text = await log_of(collector, request())
    assert len(text) < 25_000
    out = text.partition("== collection, output ==\n")[2].partition("\n\n")[0].splitlines()
    cut = next(n for n, line in enumerate(out) if "bytes are left out here" in line)
    assert out[:cut] == lines[:cut]
    rest = len(out) - cut - 1
    assert out[cut + 1 :] == lines[-rest:]
    left_out = len("\n".join(lines[cut:-rest]).encode()) + 2
    assert out[cut] == f"[… {left_out:,} bytes are left out here …]"
    assert text.endswith("end\n")


@pytest.mark.parametrize(
    "line",
    [
        f"+ mc login {SECRET}",
        "SLACK_BOT_TOKEN=" + "xoxb-" + "1-2-abcdefgh",
        f"proxy https://bot:{SECRET[:7]}@registry.corp/v2/",
        "s3: {accesskey: AKIASOMETHING, secretkey: hunter2-not-known}",
        'password: "hunter2-not-known"',
        "REGISTRY_STORAGE_S3_SECRETKEY=hunter2-not-known",
        "AWS_SECRET_ACCESS_KEY=hunter2-not-known AWS_ACCESS_KEY_ID=AKIASOMETHING",
        "Authorization: Basic aHVudGVyMjpodW50ZXIy",
    ],
)
async def test_no_secret_is_in_it(collector: CommandExecutor, line: str) -> None:
    printed(collector, b"team/app\n" + line.encode(), line.encode())
    text = await log_of(collector, request(), redact=Redactor([SECRET]).text)
    assert text.count("[redacted]") >= 2
    assert "hunter2" not in text
    assert "AKIA" not in text
    assert "aHVudGVy" not in text
    assert "xoxb-" not in text
    assert "team/app" in text


async def test_bytes_of_any_kind_make_a_text(collector: CommandExecutor) -> None:
    printed(collector, b"\0\xff\xfe\r\n" + b"y" * 100_000, bytes(range(256)))
    text = await log_of(collector, request())
    assert "\0" not in text
    assert max(map(len, text.splitlines())) < 2100
    text.encode()


async def test_an_output_that_is_not_here_is_said_to_be_lost(collector: CommandExecutor) -> None:
    text = await log_of(collector, request(Step.DRY_RUN, Step.COLLECT))
    assert "The output of the dry run was lost" in text
    printed(collector, b"", b"")
    collector.log_path(JOB, dry_run=True).touch()
    whole = await log_of(collector, request(Step.DRY_RUN, Step.COLLECT))
    assert "lost" not in whole
    assert whole.count("(nothing)") == 3
