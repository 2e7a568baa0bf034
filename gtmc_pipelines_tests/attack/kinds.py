"""The kinds of attack there are, by name."""

from __future__ import annotations

from gtmc_pipelines_tests.attack import addresses, foreign_pages, oauth_states, row_security, sealed_blobs, shown_values
from gtmc_pipelines_tests.attack.attempt import Kind

KINDS: dict[str, Kind] = {
    attack.KIND.name: attack.KIND
    for attack in (row_security, sealed_blobs, addresses, oauth_states, foreign_pages, shown_values)
}
