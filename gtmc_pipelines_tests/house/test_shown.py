"""Nothing shows data from outside but by the one function of its medium: a terminal, Dagster's pages, a log."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from gtmc_pipelines_tests.house.rules import ROOT, Module, imports_of, source_modules

CONSOLE = "cli/console.py"
SHOWING = "defs/showing.py"
PRINTERS = frozenset({"say", "say_unbroken", "warn", "line"})
"""Functions of `cli.console` whose first argument is a template of ours."""

_RAW = frozenset({"cli/examples.py"})  # help texts of our own, which typer prints
_OWN_WRITES = frozenset({"cli/keys.py", "cli/sandbox_command.py", "cli/connector_files.py"})  # a fresh key, JSON, YAML
_PLAIN_METADATA = frozenset({"int", "float", "bool", "timestamp", "asset", "dagster_run"})
_PROSE = frozenset({"description", "skip_reason", "skip_message"})
_SAFE = frozenset({"description", "sentence", "text"})
_SPECS = frozenset(("AssetCheckEvaluation", "AssetObservation", "AssetMaterialization", "SensorResult", "SkipReason"))
_SPECS_OF_RUNS = frozenset(("Failure", "AssetCheckResult", "MaterializeResult"))


def faults(module: Module) -> list[str]:
    """Every place where a module shows something past the functions."""
    found = [*_of_terminal(module), *(_of_dagster(module) if module.room == "defs" else ())]
    return [f"{module.name}:{number}: {what}" for number, what in found]


def _of_terminal(module: Module) -> Iterator[tuple[int, str]]:
    if module.inside == CONSOLE:
        return
    if module.room == "cli" and module.inside not in _RAW:
        for name in imports_of(module):
            if name.split(".")[0] == "rich":
                yield 1, f"imports {name}; only {CONSOLE} knows Rich"
    for node in _calls(module):
        name = _name(node.func)
        if name in ("print", "rprint", "secho") or name.endswith((".print", ".secho", ".echo")):
            yield node.lineno, f"{name} prints past {CONSOLE}"
        if name in ("sys.stdout.write", "sys.stderr.write", "sys.stdout.writelines") and not _may_write(module, node):
            yield node.lineno, f"{name} writes what nobody has made visible"
        if module.room == "cli" and name in PRINTERS and node.args and not _is_constant(node.args[0]):
            yield node.lineno, f"{name}: the template must be a constant; values go into its {{}}"


def _of_dagster(module: Module) -> Iterator[tuple[int, str]]:
    if module.inside == SHOWING:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            name = _name(node)
            if "MetadataValue." in name and name.split(".")[-1] not in _PLAIN_METADATA:
                yield node.lineno, f"{name} is for {SHOWING} alone"
    for node in _calls(module):
        name = _name(node.func)
        if ".log." in name and not name.endswith(("addFilter", "log_event")):
            yield node.lineno, f"{name} logs past {SHOWING}'s Log"
        short = name.split(".")[-1]
        if short in _SPECS | _SPECS_OF_RUNS:
            prose = [(word.arg, word.value) for word in node.keywords if word.arg in _PROSE]
            prose += [("text", node.args[0])] if node.args and short in ("SkipReason", "Failure") else []
            for what, value in prose:
                if not _is_told(value):
                    yield node.lineno, f"{what} of {short} must come from {SHOWING}"


def _is_told(value: ast.expr) -> bool:
    """A constant, numbers in our words, or what `showing` made; a name stands for what it was given just before."""
    if isinstance(value, ast.IfExp):
        return _is_told(value.body) and _is_told(value.orelse)
    if isinstance(value, ast.Call):
        return _name(value.func).split(".")[-1] in _SAFE
    return _is_constant(value) or isinstance(value, ast.Name) or _is_of_ours(value)


def _is_of_ours(value: ast.expr) -> bool:
    """An f-string of nothing but numbers, labels and types of exceptions."""
    if not isinstance(value, ast.JoinedStr):
        return False
    shown = [ast.unparse(part.value) for part in value.values if isinstance(part, ast.FormattedValue)]
    return all(name in _OURS or name.startswith("len(") for name in shown)


_OURS = frozenset({"connector.label", "recorded", "syncing", "type(error).__name__"})


def _is_constant(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_constant(value.body) and _is_constant(value.orelse)
    return isinstance(value, ast.Constant)


def _may_write(module: Module, node: ast.Call) -> bool:
    return module.inside in _OWN_WRITES or "shown(" in ast.unparse(node)


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_nothing_shows_data_from_outside_past_the_function_of_its_medium() -> None:
    looked_at = [module for module in source_modules() if module.room != "sandbox"]
    found = [fault for module in looked_at for fault in faults(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("cli/x.py", "console.print(f'{name}')"),
        ("cli/x.py", "say(f'{name} added')"),
        ("cli/x.py", "say(name)"),
        ("cli/x.py", "typer.echo(name)"),
        ("cli/x.py", "from rich.table import Table"),
        ("workflows/x.py", "sys.stderr.write(f'{error}')"),
        ("defs/x.py", "dg.MetadataValue.md(name)"),
        ("defs/x.py", "dg.MetadataValue.url(name)"),
        ("defs/x.py", "context.log.info(f'{name}')"),
        ("defs/x.py", "dg.Failure(problem.sentence)"),
        ("defs/x.py", "dg.AssetObservation(key, description=f'{name}')"),
        ("defs/x.py", "dg.SensorResult(skip_reason=str(error))"),
    ],
)
def test_the_rule_finds_what_goes_past(place: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module(ROOT / "gtmc_pipelines" / place)
    monkeypatch.setattr(Module, "tree", property(lambda self: ast.parse(line)))
    assert faults(module)
