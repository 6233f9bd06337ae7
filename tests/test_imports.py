"""The picture of the rooms: who may know whom. Read from the source, so nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOT = ROOT / "bot"

_PURE_REGISTRY = ("bot.registry.reference", "bot.registry.manifest")
# A room (a folder of bot/) and what of ours it may import; everything else of ours is forbidden.
ROOMS: dict[str, tuple[str, ...]] = {
    "registry": ("bot.registry",),
    "gc": ("bot.gc",),
    "rules": ("bot.rules", *_PURE_REGISTRY),
    "store": ("bot.store", "bot.rules", *_PURE_REGISTRY),
    "operations": ("bot.operations", "bot.rules", "bot.store", "bot.gc", "bot.registry"),
    "slack": ("bot.slack", "bot.operations", "bot.rules", "bot.store", "bot.registry", "bot.gc"),
    "playground": ("bot.playground",),
}
# The playground's program stands beside the bot's: it starts that, a registry, Slack, and a page.
TOP = (
    *("bot.__main__", "bot.service", "bot.checking", "bot.demo"),
    *("bot.starting", "bot.wiring", "bot.health", "bot.metrics", "bot.parts"),
    *("bot.terminal", "bot.screen", "bot.account", "bot.auditing"),
)


def module_name(path: Path) -> str:
    """`bot.slack.app` for bot/slack/app.py, `bot.slack` for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The folder of bot/ that a module is in; "" for those directly in it."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (BOT / parts[1]).is_dir() else ""


def is_module(name: str) -> bool:
    """Whether bot/ has a module or package of this dotted name."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_in(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Every module that a source imports, wherever the import stands, as an absolute name.

    `from bot import service` counts as `bot.service`, `from bot import __version__` as `bot`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                # One dot is the package itself: a plain module has to leave its own name first.
                drop = node.level - (1 if is_package else 0)
                above = package[: len(package) - drop]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if base.startswith("bot") and is_module(inner) else base
        elif isinstance(node, ast.Call):
            yield from _dynamic(node)


def _dynamic(node: ast.Call) -> Iterator[str]:
    """`importlib.import_module("x")` and `__import__("x")`."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    if name in {"import_module", "__import__"}:
        for argument in node.args[:1]:
            value = argument.value if isinstance(argument, ast.Constant) else None
            yield value if isinstance(value, str) else "an import that cannot be read"


def within(name: str, allowed: tuple[str, ...]) -> bool:
    """Whether a module is one of these or inside one of them."""
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def read_all() -> dict[str, tuple[str, ...]]:
    """Every module of bot/ with what it imports."""
    found = {}
    for path in sorted(BOT.rglob("*.py")):
        name = module_name(path)
        is_package = path.name == "__init__.py"
        found[name] = tuple(imports_in(path.read_text(), name, is_package=is_package))
    return found


IMPORTS = read_all()


def importers(*packages: str) -> set[str]:
    """The modules that import something of these packages."""
    return {name for name, found in IMPORTS.items() if any(within(i, packages) for i in found)}


_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})


def environment_reads(source: str) -> int:
    """How often a source touches the process's environment."""
    count = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in _ENVIRONMENT:
            count += isinstance(node.value, ast.Name) and node.value.id == "os"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            count += any(alias.name in _ENVIRONMENT for alias in node.names)
    return count


def test_the_picture_is_looked_at_at_all() -> None:
    assert len(IMPORTS) > 40
    assert {room_of(name) for name in IMPORTS} >= {*ROOMS, "settings", ""}
    assert "bot.rules.policy" in IMPORTS
    assert "bot.rules.rule" in IMPORTS["bot.rules.policy"]
    assert "bot.service" in IMPORTS["bot.__main__"]


def test_no_room_is_outside_the_picture() -> None:
    rooms = {path.name for path in BOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms == {*ROOMS, "settings", "demo"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_its_neighbours(room: str) -> None:
    strangers = {
        f"{name} imports {imported}"
        for name, found in IMPORTS.items()
        if room_of(name) == room
        for imported in found
        # `import bot` is the version, and everybody may know it.
        if within(imported, ("bot",)) and imported != "bot" and not within(imported, ROOMS[room])
    }
    assert not strangers


def test_settings_know_the_rooms_they_make_values_for_and_nothing_else() -> None:
    allowed = ("bot.settings", "bot.rules", "bot.registry", "bot.gc")
    strangers = {
        f"{name} imports {imported}"
        for name, found in IMPORTS.items()
        if room_of(name) == "settings"
        for imported in found
        if within(imported, ("bot",)) and imported != "bot" and not within(imported, allowed)
    }
    assert not strangers


def test_slack_bolt_stays_in_the_slack_room() -> None:
    found = importers("slack_bolt")
    assert found, "nothing imports slack_bolt: is this test blind?"
    assert {name for name in found if room_of(name) != "slack"} == set()


def test_slack_sdk_stays_in_the_slack_room_and_the_service() -> None:
    found = importers("slack_sdk")
    assert {name for name in found if room_of(name) != "slack"} <= {
        "bot.service",
        "bot.starting",
        "bot.wiring",
        "bot.health",
    }


def test_sqlalchemy_stays_in_the_store() -> None:
    found = importers("sqlalchemy", "aiosqlite", "asyncpg")
    assert found, "nothing imports sqlalchemy: is this test blind?"
    assert {name for name in found if room_of(name) != "store"} == set()


@pytest.mark.parametrize("package", ["bot.settings", "bot.telemetry"])
def test_only_the_top_knows_settings_and_telemetry(package: str) -> None:
    found = importers(package)
    assert any(within(name, TOP) for name in found), "nothing imports it: is this test blind?"
    assert not {name for name in found if not within(name, (package, *TOP))}


@pytest.mark.parametrize("package", TOP)
def test_nobody_below_knows_the_top(package: str) -> None:
    assert not {name for name in importers(package) if not within(name, TOP)}


def test_a_bot_at_work_has_no_use_for_the_playground() -> None:
    found = importers("bot.playground", "bot.demo")
    assert "bot.demo.playing" in found
    above = {name for name in found if not within(name, ("bot.playground", "bot.demo"))}
    assert above == {"bot.__main__"}


def test_the_environment_is_read_in_one_place_and_passed_on_in_another() -> None:
    reads = {module_name(p): environment_reads(p.read_text()) for p in BOT.rglob("*.py")}
    # The start hands it to the settings, which take a mapping and read nothing themselves; a
    # collector's process gets it without our secrets. Nobody else learns anything from it.
    assert {name: n for name, n in reads.items() if n} == {"bot.__main__": 1, "bot.gc.process": 1}


_SHARED_WORDS = ("bot.registry.errors", "bot.registry.reference", "bot.gc.errors", "bot.gc.steps")


def test_slack_speaks_of_registries_and_collections_and_never_to_them() -> None:
    strangers = {
        f"{name} imports {imported}"
        for name, found in IMPORTS.items()
        if room_of(name) == "slack"
        for imported in found
        if within(imported, ("bot.registry", "bot.gc")) and not within(imported, _SHARED_WORDS)
    }
    assert not strangers


PURE_SLACK = frozenset(
    f"bot.slack.{name}"
    for name in (
        *("commands", "flags", "verbs", "words", "typography"),
        *("limits", "limits_blocks", "limits_elements"),
    )
)


@pytest.mark.parametrize("module", sorted(PURE_SLACK))
def test_grammar_and_limits_know_names_and_themselves_only(module: str) -> None:
    ours = {imported for imported in IMPORTS[module] if within(imported, ("bot",))}
    assert ours <= {*PURE_SLACK, "bot.registry.reference"}


# What a pure module has no use for: the network, the disk, processes, other people's clocks.
_OUTSIDE = (
    *("asyncio", "socket", "ssl", "http", "urllib", "subprocess", "os", "pathlib", "time"),
    *("aiohttp", "httpx", "sqlalchemy", "slack_sdk", "slack_bolt", "structlog", "random"),
)


def is_pure(module: str) -> bool:
    """Whether the picture says that a module computes and nothing else."""
    named = {*PURE_SLACK, *_PURE_REGISTRY, "bot.gc.report", "bot.gc.steps"}
    return module in named or within(module, ("bot.rules", "bot.slack.views"))


def test_pure_modules_touch_nothing_outside() -> None:
    assert sum(is_pure(name) for name in IMPORTS) > 15
    strangers = {
        f"{name} imports {imported}"
        for name, found in IMPORTS.items()
        if is_pure(name)
        for imported in found
        if within(imported, _OUTSIDE)
    }
    assert not strangers


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import bot", ["bot"]),
        ("import bot.service as s", ["bot.service"]),
        ("from bot import __version__", ["bot"]),
        ("from bot import service", ["bot.service"]),
        ("from bot.rules import policy, plan", ["bot.rules.policy", "bot.rules.plan"]),
        ("from bot.rules.policy import Rule", ["bot.rules.policy"]),
        ("from . import verbs", ["bot.slack.verbs"]),
        ("from .words import split", ["bot.slack.words"]),
        ("from ..store.jobs import Job", ["bot.store.jobs"]),
        ("from .. import service", ["bot.service"]),
        ("def f():\n    import sqlalchemy.orm", ["sqlalchemy.orm"]),
        ("if TYPE_CHECKING:\n    from slack_sdk.web import x", ["slack_sdk.web"]),
        ('importlib.import_module("bot.store")', ["bot.store"]),
        ("__import__(name)", ["an import that cannot be read"]),
    ],
)
def test_no_way_of_importing_is_overlooked(source: str, imported: list[str]) -> None:
    assert list(imports_in(source, "bot.slack.commands")) == imported


def test_the_dots_of_a_package_begin_at_itself() -> None:
    found = imports_in("from .values import Settings", "bot.settings", is_package=True)
    assert list(found) == ["bot.settings.values"]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("import os\nos.environ['A']", 1),
        ("import os\nx = os.getenv('A')", 1),
        ("import os\nos.environ, os.environb", 2),
        ("from os import environ", 1),
        ("import os\nos.getpid()", 0),
        ("def f(environ): return environ['A']", 0),
        ("self.environ.get('HOME')", 0),
    ],
)
def test_reading_the_environment_is_seen(source: str, reads: int) -> None:
    assert environment_reads(source) == reads
