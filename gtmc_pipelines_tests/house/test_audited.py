"""Whoever changes what an administrator decides on says who did it: found in the source, whoever adds the next one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pytest

from gtmc_pipelines_tests.house import rules

NOT_ADMINISTRATION = {
    **dict.fromkeys(
        (
            *("batch_transaction", "batch_writer", "bookkeeping", "canonical", "cursors", "dead_letters", "landing"),
            *("leases", "left_out", "letter_replay", "renormalize", "staging", "stream_fields", "sweep", "sync_logs"),
            *("batch_notes", "comparisons", "sweep_parts", "failed_values", "planned_records"),
        ),
        "What a sync does is kept in its own log; its start, its cancel and what frees it are audited.",
    ),
    "audit": "It is the audit log.",
    "connection_owners": "Part of connecting and disconnecting, which are recorded.",
    "dagster_events": "Dagster's own event log, thinned out by age.",
    "migrate": "The schema, no tenant's data.",
    "oauth_states": "A login under way; what comes of it is `connector.connect`.",
    "raw_amendments": "Part of a step of upgrading data, which data_upgrades records.",
    "tombstones": "Part of erasing a person, which person_erasure records.",
}
"""Modules of storage that may write without a row in the audit log, and why."""

SILENT = {
    "connector_states.restore_status": "The outcome of a sync, kept in its log.",
    "connector_states.set_status": "The outcome of a sync, kept in its log.",
    "connector_states.start_over": "Part of connecting to another organization, which is recorded.",
    "credentials.StoredCredentials.clear": "Part of disconnecting, which is recorded.",
    "credentials.StoredCredentials.save": "Part of connecting, which is recorded.",
    "credentials.StoredCredentials.store": "Part of connecting, which is recorded.",
}
"""Single functions of the others."""

_WRITES = re.compile(r"\bINSERT INTO\b|\bDELETE FROM\b|(?<!FOR )(?<!DO )\bUPDATE (?!SET\b)[a-z_{]")


@dataclass(frozen=True)
class Source:
    """A module of storage: its functions by name (`Class.method` for methods), and what each comes to."""

    name: str
    tree: ast.Module

    @cached_property
    def functions(self) -> Mapping[str, ast.FunctionDef]:
        """All of them, private ones included."""
        found = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        for owner in (node for node in self.tree.body if isinstance(node, ast.ClassDef)):
            found |= {f"{owner.name}.{node.name}": node for node in owner.body if isinstance(node, ast.FunctionDef)}
        return found

    @cached_property
    def public(self) -> list[str]:
        """Those that other rooms may call."""
        return [name for name in self.functions if not any(part.startswith("_") for part in name.split("."))]

    def writes(self, function: str) -> bool:
        """Whether a function, or one of this module that it calls, changes rows."""
        return any(_WRITES.search(text) for node in self._reached(function) for text in self._texts(node))

    def audits(self, function: str) -> bool:
        """The same for a row in the audit log."""
        return any(
            isinstance(node, ast.Attribute) and node.attr == "record" and ast.unparse(node.value) == "audit"
            for reached in self._reached(function)
            for node in ast.walk(reached)
        )

    def _reached(self, function: str) -> list[ast.FunctionDef]:
        reached, waiting = {function}, [function]
        by_last_name = {name.rpartition(".")[2]: name for name in self.functions}
        while waiting:
            for called in _names(self.functions[waiting.pop()]):
                if (name := by_last_name.get(called)) is not None and name not in reached:
                    reached.add(name)
                    waiting.append(name)
        return [self.functions[name] for name in reached]

    def _texts(self, function: ast.FunctionDef) -> Iterator[str]:
        for node in function.body[1:] if ast.get_docstring(function) else function.body:
            yield from _strings(node)
        used = set(_names(function))
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and used & {ast.unparse(target) for target in node.targets}:
                yield from _strings(node)


def _names(node: ast.AST) -> list[str]:
    return [
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute)
    ]


def _strings(node: ast.AST) -> Iterator[str]:
    """Texts in the source; the fields of an f-string as braces."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
        elif isinstance(each, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in each.values)


MODULES = [module for module in rules.source_modules() if module.room == "storage"]
STORAGE = [Source(module.path.stem, module.tree) for module in MODULES if "migrations" not in module.name]
ADMINISTERED = [
    pytest.param(source, name, id=f"{source.name}.{name}")
    for source in STORAGE
    for name in source.public
    if source.name not in NOT_ADMINISTRATION and source.writes(name)
]


def _takes_actor(function: ast.FunctionDef) -> bool:
    return any(argument.arg == "actor" for argument in (*function.args.args, *function.args.kwonlyargs))


@pytest.mark.parametrize(("source", "name"), ADMINISTERED)
def test_what_changes_rows_that_people_decide_on_is_audited(source: Source, name: str) -> None:
    assert source.audits(name) or f"{source.name}.{name}" in SILENT, (
        f"storage/{source.name}.py: {name} changes rows and leaves no row in the audit log. Record who did what, before"
        " and after, in the same transaction; or say in house/test_audited.py why nobody needs to know."
    )


@pytest.mark.parametrize(("source", "name"), ADMINISTERED)
def test_what_is_audited_is_told_who_acts(source: Source, name: str) -> None:
    owner, _, method = name.rpartition(".")
    told = source.functions.get(f"{owner}.__init__") if method and owner else source.functions[name]
    assert not source.audits(name) or (told is not None and _takes_actor(told)), f"{name} takes no `actor`."


def test_whoever_calls_these_says_who_acts() -> None:
    asking = {
        f"{source.name}.{name}"
        for source in STORAGE
        for name, function in source.functions.items()
        if "." not in name and _takes_actor(function)
    }
    faults = [
        f"{module.name}:{call.lineno} calls {called} without `actor`, which would record it as done by nobody."
        for module in rules.source_modules()
        if module.room != "storage"
        for call, called in _calls_of_storage(module.tree)
        if called in asking and not any(keyword.arg in ("actor", None) for keyword in call.keywords)
    ]
    assert len(asking) > 10
    assert faults == []


def _calls_of_storage(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Calls of functions that come from storage, as `module.function`, whichever way they were imported."""
    known: dict[str, str] = {}
    for node in (each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.module):
        place = str(node.module).removeprefix("gtmc_pipelines.storage")
        if place != node.module:
            known |= {alias.asname or alias.name: f"{place}.{alias.name}".strip(".") for alias in node.names}
    for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
        first, dot, rest = ast.unparse(call.func).partition(".")
        if first in known:
            yield call, f"{known[first]}{dot}{rest}"


def test_no_exception_outlives_what_it_was_for() -> None:
    known = {source.name for source in STORAGE}
    assert NOT_ADMINISTRATION.keys() - known == set()
    functions = {f"{source.name}.{name}" for source in STORAGE for name in source.public}
    assert SILENT.keys() - functions == set()


def test_the_search_sees_what_it_is_for() -> None:
    text = """
_WRITE = "UPDATE connectors SET name = 'x'"
def loud(handle, actor):
    _change(handle)
    audit.record(handle)
def quiet(handle):
    "INSERT INTO nothing: a docstring."
    _change(handle)
def reader(handle):
    run(handle, "SELECT 1 FROM connectors FOR UPDATE")
def _change(handle):
    run(handle, _WRITE)
"""
    source = Source("example", ast.parse(text))
    assert [name for name in source.public if source.writes(name)] == ["loud", "quiet"]
    assert [name for name in source.public if source.audits(name)] == ["loud"]
