"""A worker machine of its own, as far as tokens go: many callers of one connector that share only PostgreSQL.

python -m gtmc_pipelines_tests.connectors.renewing_child   (a JSON object on stdin, then a line that says go)
"""

from __future__ import annotations

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from gtmc_pipelines.connectors.salesforce.api import SalesforceSession, open_session
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import open_database
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines_tests.connectors.salesforce_scene import Org


def main() -> None:
    """Open the sessions, say so, and when told to let all of them call at once; print what became of each."""
    given = json.loads(sys.stdin.readline())
    database = open_database(given["database_url"], pool_size=4)
    ring = KeyRing.from_hex(given["key"])
    stored = StoredCredentials(database, ring, given["tenant"], given["connector"])
    org = Org.of(given["sandbox"])
    sessions = [open_session(stored, org.settings()) for _ in range(given["callers"])]
    _say("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(len(sessions)) as pool:
        outcomes = list(pool.map(_call, sessions))
    token = hashlib.sha256(stored.read()["access_token"].reveal().encode()).hexdigest()
    _say(json.dumps({"outcomes": outcomes, "token": token}))
    for session in sessions:
        session.close()
    database.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _call(session: SalesforceSession) -> str:
    try:
        return "fine" if session.limits() else "empty"
    except Reauthorize as refused:
        return refused.code


if __name__ == "__main__":
    main()
