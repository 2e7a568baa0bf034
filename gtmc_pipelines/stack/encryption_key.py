"""The key that seals tokens in the embedded database: made once, kept in `<home>/encryption.key`, mode 0600."""

from __future__ import annotations

import secrets
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings


def key_file_for(settings: Settings, home: Path) -> Path | None:
    """The file with the key, made when missing; None when the user's own environment holds the key.

    Raises Misuse when the database is the user's own and no key is set: a key we invent would be lost with `home`.
    """
    if settings.encryption_key is not None:
        return None
    if settings.database_url is not None:
        raise Misuse(
            "setting_missing",
            "GTMC_DATABASE_URL is set but CONNECTOR_ENCRYPTION_KEY is not.",
            next_step="Set the key that this database's tokens are sealed with, or make one with `gtmc keys generate`.",
        )
    file = home / "encryption.key"
    if not file.exists():
        unfinished = file.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_hex(32) + "\n")
        unfinished.replace(file)
    return file
