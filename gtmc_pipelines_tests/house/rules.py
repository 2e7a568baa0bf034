"""The house rules, in one table: who may import what, and the sentence a newcomer reads when a test fails."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "gtmc_pipelines"
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 50


@dataclass(frozen=True)
class Room:
    """What the modules under a path may import of ours, and why."""

    path: str
    may_import: tuple[str, ...]
    sentence: str


ROOMS = (
    Room("model", (), "model holds the words everybody uses, so it imports nothing of ours."),
    Room("mapping", ("model",), "mapping is pure: it knows the model and nothing else."),
    Room("vault", ("model",), "vault only needs the error tree of the model."),
    Room("connectors", ("model", "mapping", "vault"), "connectors never see the database, Temporal or Dagster."),
    Room("storage", ("model", "vault"), "storage holds the SQL and never calls a vendor."),
    Room("stack", ("settings", "model.errors"), "stack starts processes and knows addresses, nothing of the trade."),
    Room("sandbox", ("model.ids",), "sandbox imitates vendors and must not be able to share our bugs."),
    Room(
        "workflows",
        ("model", "mapping", "vault", "connectors", "storage", "settings"),
        "workflows put the rooms below together; screens and processes are above them.",
    ),
    Room(
        "defs",
        (
            *(
                "workflows.client",
                "workflows.inputs",
                "workflows.composition",
                "workflows.progress",
                "storage",
                "model",
                "settings",
            ),
            *(
                "connectors.registry",
                "connectors.contract",
                "mapping",
                "vault.log_lines",
                "vault.masking",
                "vault.redaction",
                "vault.secret",
            ),
        ),
        "Dagster starts and follows workflows and reads; it never moves records.",
    ),
    Room(
        "cli",
        (
            "workflows",
            "storage",
            "model",
            "settings",
            "connectors",
            "mapping",
            "vault",
            "stack",
            "sandbox",
            "defs.launch",
        ),
        "cli is the top of the stairs, and reaches Dagster through defs.launch only.",
    ),
    Room("settings", ("model.errors", "model.database_urls"), "settings are read before anything else exists."),
    Room("definitions", ("defs", "settings"), "definitions composes what defs defines."),
)
"""Every room; a module may always import its own."""

WORKFLOW_FILES = ("workflows/connector_sync.py", "workflows/renormalize.py", "workflows/scheduled_sync.py")
WORKFLOW_SENTENCE = (
    "A workflow file is replayed in Temporal's sandbox, so it imports the model, workflows.inputs, "
    "documented_inputs and closing, temporalio and the deterministic part of the standard library only."
)
WORKFLOW_STDLIB = frozenset(
    {"__future__", "asyncio", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools", "typing"}
)


@dataclass(frozen=True)
class Library:
    """Libraries that belong to some places only, and why."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    sentence: str


LIBRARIES = (
    Library(("temporalio",), ("workflows",), "Temporal stays in workflows."),
    Library(
        ("dagster", "dagster_postgres", "dagster_graphql", "dagster_webserver"),
        ("defs", "definitions"),
        "Dagster stays in defs and definitions.",
    ),
    Library(("sqlalchemy", "psycopg", "alembic"), ("storage",), "SQL stays in storage."),
    Library(("psycopg2",), (), "psycopg2 is Dagster's driver; ours is psycopg 3."),
    Library(("requests", "urllib3", "simple_salesforce", "msal"), ("connectors",), "Vendor HTTP stays in connectors."),
    Library(("starlette", "uvicorn"), ("sandbox",), "Only the imitated vendors serve HTTP with a framework."),
    Library(("cel", "msgspec"), ("mapping", "connectors", "storage", "workflows"), "Parsing belongs to the data path."),
)

BANNED_MODULE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "core"})


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    path: Path

    @property
    def name(self) -> str:
        """Path below the repository, for messages."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def inside(self) -> str:
        """Path below the package, for rules; empty for tests."""
        return self.name.removeprefix(PACKAGE + "/") if self.name.startswith(PACKAGE + "/") else ""

    @property
    def room(self) -> str:
        """First folder, or the module's own name at the top."""
        return self.inside.split("/")[0].removesuffix(".py")

    @property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return _parsed(self.path)

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the syntax tree."""
        return _nodes(self.tree)


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files git would keep: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return tuple(sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()))


def source_modules() -> list[Module]:
    """Every module of the package."""
    return [Module(path) for path in tracked_files() if path.suffix == ".py" and _is_under(path, PACKAGE)]


def test_modules() -> list[Module]:
    """Every module of the tests."""
    return [Module(path) for path in tracked_files() if path.suffix == ".py" and _is_under(path, PACKAGE + "_tests")]


test_modules.__test__ = False  # type: ignore[attr-defined]


def _is_under(path: Path, folder: str) -> bool:
    return path.relative_to(ROOT).parts[0] == folder


def imports_of(module: Module) -> Iterator[str]:
    """Dotted names a module imports, wherever in it, relative ones made absolute."""
    package = [PACKAGE, *module.inside.split("/")[:-1]]
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def begins(name: str, prefix: str) -> bool:
    """True when a dotted name is `prefix` or below it."""
    return name == prefix or name.startswith(prefix + ".")


def is_standard(name: str) -> bool:
    """True for the standard library."""
    return name.split(".")[0] in sys.stdlib_module_names


def import_faults(module: Module) -> list[str]:
    """Every import of a package module that breaks a rule: file, import, sentence."""
    room = next((room for room in ROOMS if room.path == module.room), None)
    faults = []
    for name in imports_of(module):
        if begins(name, PACKAGE):
            inner = name.removeprefix(PACKAGE).removeprefix(".")
            if room is not None and not any(begins(inner, allowed) for allowed in (room.path, *room.may_import)):
                faults.append(f"{module.name} imports {name}: {room.sentence}")
        for library in LIBRARIES:
            if any(begins(name, banned) for banned in library.names) and module.room not in library.places:
                faults.append(f"{module.name} imports {name}: {library.sentence}")
    if module.inside in WORKFLOW_FILES:
        faults += [
            f"{module.name} imports {name}: {WORKFLOW_SENTENCE}" for name in imports_of(module) if not _replayable(name)
        ]
    return faults


def _replayable(name: str) -> bool:
    rooms = ("model", "workflows.inputs", "workflows.documented_inputs", "workflows.closing")
    ours = (*(f"{PACKAGE}.{room}" for room in rooms), "temporalio")
    return any(begins(name, allowed) for allowed in ours) or name.split(".")[0] in WORKFLOW_STDLIB


_SQL_FORMS = (
    r"\bSELECT\b[\s\S]{1,2000}?\bFROM\s+[\w\"{]",
    r"\bINSERT\s+INTO\s+[\w{]",
    r"\bUPDATE\s+[\w.\"{}]+\s+SET\s",
    r"\bDELETE\s+FROM\s+[\w{]",
    r"\b(?:CREATE|ALTER|DROP|TRUNCATE)\s+(?:TABLE|SCHEMA|ROLE|INDEX|POLICY)\s",
)
_UPPER = "|".join(_SQL_FORMS)
SQL = re.compile(_UPPER + "|" + re.sub("[A-Z]{3,}", lambda match: match.group().lower(), _UPPER))
SQL_PLACES = ("storage", "connectors/salesforce", "sandbox")
"""Where a query may stand as text: our SQL, and Salesforce's SOQL on both sides of the wire."""


def sql_faults(module: Module) -> list[str]:
    """Texts (docstrings apart) that look like SQL outside storage."""
    if any(module.inside.startswith(place) for place in SQL_PLACES):
        return []
    tree = module.tree
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        f"{module.name}:{line} looks like SQL: SQL stays in storage."
        for line, text in _texts(tree, prose)
        if SQL.search(text)
    ]


def _texts(tree: ast.Module, prose: set[int]) -> Iterator[tuple[int, str]]:
    """Every text of a module with its line; what an f-string fills in is written {}."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, texts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose | parts:
            yield node.lineno, node.value


def environment_faults(module: Module) -> list[str]:
    """Reads of the environment outside settings."""
    if module.room == "settings":
        return []
    return [
        f"{module.name}:{node.lineno} reads the environment: only settings.py does, so that all of it is documented."
        for node in module.nodes
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv", "putenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
