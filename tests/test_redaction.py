"""What libraries and our own values say of themselves gives no secret away."""

import io
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import httpx
import pytest
import sqlalchemy as sa
import structlog
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from sqlalchemy.ext.asyncio import create_async_engine

from bot.registry.auth import Credentials
from bot.registry.client import RegistryClient
from bot.registry.errors import RegistryError
from bot.settings import SettingsError
from bot.slack.recording import Outcome, Recorder
from bot.store.store import Store, StoreUnusable
from bot.telemetry import Redactor, configure_logging
from tests.support.settings_file import GOOD, REGISTRY, SECRETS, Writer

pytestmark = pytest.mark.anyio
WORD = "hunter2-hunter2"
NOWHERE = "127.0.0.1:9"
ERRORS = (OSError, ValueError, RuntimeError, httpx.HTTPError, aiohttp.ClientError, SlackApiError)


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A log that knows no secret by its value: only patterns can find them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("debug", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def _of_httpx() -> None:
    async with httpx.AsyncClient(verify=False) as http:
        await http.get(f"http://anna:{WORD}@{NOWHERE}/v2/")


async def _of_a_status() -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refused)) as http:
        address = f"http://anna:{WORD}@registry.corp/v2/"
        (await http.get(address, headers={"Authorization": f"Basic {WORD}"})).raise_for_status()


async def _of_aiohttp() -> None:
    async with aiohttp.ClientSession() as http:
        await http.get(f"http://anna:{WORD}@{NOWHERE}/?ticket={WORD}")


async def _of_a_websocket() -> None:
    async with aiohttp.ClientSession() as http:
        await http.ws_connect(f"ws://{NOWHERE}/link/?ticket={WORD}&app_id=A1")


async def _of_asyncpg() -> None:
    await asyncpg.connect(f"postgresql://bot:{WORD}@{NOWHERE}/db?ssl={WORD}")


async def _of_sqlalchemy() -> None:
    await create_async_engine(f"postgresql+asyncpg://bot:{WORD}@{NOWHERE}/db").connect()


async def _of_an_address() -> None:
    raise ValueError(f"cannot use {sa.make_url(f'postgresql://bot:{WORD}@db/bot')!r}")


async def _of_a_bad_address() -> None:
    raise ValueError(f"postgresql://bot:{WORD}@db:port/bot is no address")


async def _of_slack() -> None:
    headers = {"Authorization": f"Bearer xoxb-{WORD}"}
    raise SlackApiError(f"failed: {headers}", {"ok": False, "token": f"xapp-1-{WORD}"})


async def _of_an_answer() -> None:
    raise RuntimeError(f"no answer from https://hooks.slack.com/commands/T0/1/{WORD}")


FAILURES = [
    *(_of_httpx, _of_a_status, _of_aiohttp, _of_a_websocket, _of_asyncpg, _of_sqlalchemy),
    *(_of_an_address, _of_a_bad_address, _of_slack, _of_an_answer),
]


@pytest.mark.parametrize("failing", FAILURES, ids=lambda one: one.__name__.strip("_"))
async def test_errors_are_logged_without_what_lets_somebody_in(
    failing: Callable[[], Awaitable[None]], out: io.StringIO
) -> None:
    with pytest.raises(ERRORS) as caught:
        await failing()
    error = caught.value
    log = structlog.get_logger()
    log.error("failed", exc_info=error)
    log.error("failed", why=str(error), what=error, all=[repr(error), {"error": error}])
    logging.getLogger("library").error("failed: %s %r", error, error, exc_info=error)
    assert out.getvalue().count(type(error).__name__) >= 4
    assert WORD not in out.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


async def test_the_address_of_a_database_hides_its_password_wherever_it_stands() -> None:
    for url in (f"postgresql://bot:{WORD}@{NOWHERE}/db", f"postgresql://bot:{WORD}@db:x/db"):
        with pytest.raises(StoreUnusable) as refused:
            await Store.open(url)
        shown = "".join(traceback.format_exception(refused.value))
        assert WORD not in Redactor().text(shown)
        assert WORD not in refused.value.sentence + refused.value.hint


@pytest.mark.parametrize("how", [repr, str, "{}".format])
def test_nothing_of_the_settings_shows_a_secret(
    how: Callable[[object], str], write: Writer
) -> None:
    environ = {**SECRETS, "CORP_USERNAME": "anna", "CORP_PASSWORD": WORD}
    text = GOOD.replace(REGISTRY, f'{REGISTRY}credentials = "env:CORP"\n')
    settings = write.load(f'[store]\nurl = "postgresql://bot:{WORD}@db/bot"\n{text}', environ)
    parts = [settings, settings.slack, *settings.registries, settings.policy, settings.secrets]
    for part in parts:
        shown = how(part)
        assert WORD not in shown
        for secret in SECRETS.values():
            assert secret not in shown
    assert WORD not in how(Credentials("anna", SecretStr(WORD)))


def test_problems_of_the_settings_do_not_repeat_a_secret(write: Writer) -> None:
    broken = (
        f'[store]\nurl = "mysql://bot:{WORD}@db/bot"\n{GOOD}',
        f'[slack]\nbot_token = "xoxb-{WORD}"\n{GOOD}',
        GOOD.replace("https://registry.corp:5000", f"https://anna:{WORD}@registry.corp"),
        GOOD.replace("https://registry.corp:5000", f"https://registry.corp/?token={WORD}"),
    )
    for text in broken:
        with pytest.raises(SettingsError) as caught:
            write.load(text, SECRETS)
        assert WORD not in f"{caught.value!r} {caught.value} {caught.value.problems}"


async def test_a_registry_that_is_away_is_spoken_of_without_the_login() -> None:
    robot = Credentials("robot", SecretStr(WORD))
    async with RegistryClient(f"http://{NOWHERE}", credentials=robot, deadline=0.2) as client:
        with pytest.raises(RegistryError) as caught:
            await client.ping()
    assert WORD not in "".join(traceback.format_exception(caught.value))


async def test_a_row_that_cannot_be_written_is_logged_without_its_values(
    tmp_path: Path, out: io.StringIO
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    async with store.transaction() as tx:
        await tx.conn.execute(sa.text("ALTER TABLE jobs RENAME COLUMN payload TO away"))
    row = {"text": f"deny R1 {WORD}", "response_url": f"http://emulator.corp/hooks/{WORD}"}
    recorder = Recorder(store, 10)
    outcome = await recorder.record("command", f"slack:1.{WORD}", row, 60.0, among=("command",))
    said = out.getvalue()
    await store.close()
    assert outcome is Outcome.FAILED
    assert "has no column named payload" in said
    assert WORD not in said
