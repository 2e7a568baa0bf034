"""The kinds of attack there are, by name."""

from __future__ import annotations

from gtmc_pipelines_tests.attack import (
    addresses,
    borrowed_sessions,
    directory_tokens,
    file_references,
    foreign_pages,
    hostile_vendors,
    landed_records,
    oauth_states,
    row_security,
    sealed_blobs,
    shown_values,
)
from gtmc_pipelines_tests.attack.attempt import Kind

_DATABASE = (row_security, borrowed_sessions, sealed_blobs, landed_records)
_DOORS = (addresses, hostile_vendors, oauth_states, directory_tokens, foreign_pages, file_references, shown_values)

KINDS: dict[str, Kind] = {attack.KIND.name: attack.KIND for attack in (*_DATABASE, *_DOORS)}
