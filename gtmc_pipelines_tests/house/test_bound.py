"""Whoever opens a session with stored credentials binds them to where they were proven: found in the source."""

from __future__ import annotations

import ast

from gtmc_pipelines_tests.house import rules

ALSO_WITH_OTHERS = {
    "workflows/authorization.py": "new credentials are tried here, and their address is what is being confirmed",
    "defs/vendor_resource.py": "credentials may be given in code or in the same config as the address",
}
"""Places that open sessions with credentials that aren't stored, too, and why."""


def test_sessions_of_stored_credentials_are_opened_bound() -> None:
    unbound = []
    for module in rules.source_modules():
        if not module.inside or module.room in ("connectors", "sandbox"):
            continue
        calls = [node for node in module.nodes if isinstance(node, ast.Call)]
        opened = [call for call in calls if _name(call.func) == "authenticate"]
        if module.inside in ALSO_WITH_OTHERS:
            opened = [] if "bound_to" in map(_name, (call.func for call in calls)) else opened
        unbound += [f"{module.name}:{call.lineno}" for call in opened if not _is_bound(call)]
    assert unbound == [], "Give authenticate(*bound_to(…)): stored credentials go only where they were proven."


def _is_bound(call: ast.Call) -> bool:
    (given, *more) = call.args
    return not more and isinstance(given, ast.Starred) and "bound_to(" in ast.unparse(given)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
