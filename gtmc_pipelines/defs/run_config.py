"""What run config may not do: take a variable of the process away, or send secrets of others to an address it names.

Whoever may launch a run writes its config, and `{env: NAME}` in it reads the environment of the process that runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import ConfigDict

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.secret_variables import PREFIX, is_for_secrets

RunConfig = Mapping[str, Any]
UNSAID = ConfigDict(hide_input_in_errors=True)
"""Of every model that run config fills: pydantic is asked before we are, and would say the variable's value."""


def config_of_op(context: dg.AssetExecutionContext, op: str) -> Any:
    """What the run's config says for an op, as it was written."""
    return _part(context.run, "ops").get(op)


def config_of_resource(context: dg.InitResourceContext) -> RunConfig:
    """What the run's config says for the resource that is being made, as it was written; nothing outside a run."""
    if context.run is None:
        return {}
    names = [name for name, definition in context.all_resource_defs.items() if definition is context.resource_def]
    written, found = _part(context.run, "resources"), dict[str, Any]()
    for name in names:
        found |= (written.get(name) or {}).get("config") or {}
    return found


def refuse_foreign_variables(written: Any) -> None:
    """Raises Misuse (`variable_refused`) where run config names a variable that isn't meant to be given away."""
    for name in _variables(written):
        if not is_for_secrets(name):
            raise Misuse(
                "variable_refused",
                f"Run config names the variable {name[:80]!r}, and may name only those that start with {PREFIX}.",
                next_step="Give the secret such a name, or set the resource in code with dg.EnvVar.",
            )


def refuse_bare_address(written: RunConfig, addresses: Collection[str], secrets: Mapping[str, str | None]) -> None:
    """Raises Misuse (`address_without_credentials`) for an address in run config whose secrets come from elsewhere.

    `secrets` are the resource's own by their field, as they are in force: those set in code don't follow either.
    """
    named = [name for name in addresses if written.get(name) is not None]
    brought = {name for name in secrets if _is_given(written.get(name))}
    if named and (not brought or any(_is_given(secrets[name]) for name in secrets if name not in brought)):
        raise Misuse(
            "address_without_credentials",
            f"Run config names {' and '.join(named)} but not the credentials to be sent there.",
            next_step=f"Give {' and '.join(secrets)} in the same config, or leave the address out; a connector is "
            "moved with `gtmc connectors rebind`.",
        )


def _part(run: dg.DagsterRun, name: str) -> RunConfig:
    found: Any = run.run_config.get(name)
    return found or {}


def _variables(written: Any) -> Iterator[str]:
    if isinstance(written, Mapping):
        if set(written) == {"env"}:
            yield str(written["env"])
        for value in written.values():
            yield from _variables(value)
    elif isinstance(written, list | tuple):
        for value in written:
            yield from _variables(value)


def _is_given(value: Any) -> bool:
    """Asterisks alone are none: the Launchpad fills in its own mask where nothing was set."""
    return isinstance(value, Mapping) or (isinstance(value, str) and bool(value.strip("*")))
