"""Points connectors of a development stack's own sandbox at where it is now. Run it again at any time.

    python -m gtmc_pipelines.workflows.moved_sandbox .gtmc/sandbox-addresses.json

The file is the stack's (stack/sandbox_addresses.py): vendor to its addresses, `http` and `https` each, the newest
last. Only what lies exactly at one of the former ones of the connector's own vendor is changed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken, GtmcError
from gtmc_pipelines.model.shown_text import shown
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.connectors import list_connectors
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.readdressing import readdress
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.workflows.composition import key_ring

_ACTOR = "stack"


def moves_of(addresses: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Each former address of one vendor to the one of now, http to http and https to https."""
    if not addresses:
        return {}
    *former, now = addresses
    taken = set(now.values())
    return {one[scheme]: now[scheme] for one in former for scheme in now if one[scheme] not in taken}


def readdress_all(database: Database, keyring: KeyRing, known: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """Mend the connectors of every tenant; a line for each that was changed, or whose secrets don't open."""
    lines = []
    moves = {kind: moves_of(known.get(kind.value, ())) for kind in ConnectorType}
    for row in list_connectors(database):
        if not moves[row.type]:
            continue
        named = f"{row.tenant_id}, {row.type}"
        try:
            changed = readdress(database, keyring, row.tenant_id, row.id, moves[row.type], actor=_ACTOR)
        except Broken as fault:  # a foreign key's connector: it can't sync either, which says so to its administrator
            lines.append(f"{named}: left as it is. {fault}")
            continue
        if changed:
            lines.append(f"{named}: points at the sandbox's address of now ({', '.join(changed)}).")
    return lines


def main(file: str) -> int:
    """Mend what the settings' database holds; exit status 1 with one sentence when that fails."""
    try:
        settings = load_settings()
        database = open_database(settings.required("database_url"), pool_size=1)
        try:
            known = json.loads(Path(file).read_text())
            sys.stdout.writelines(f"{shown(line)}\n" for line in readdress_all(database, key_ring(settings), known))
        finally:
            database.close()
    except GtmcError as error:
        sys.stderr.write(f"{shown(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
