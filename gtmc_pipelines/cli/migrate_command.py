"""gtmc migrate: the database at the newest schema, before workers of a new version start."""

from __future__ import annotations

import typer

from gtmc_pipelines.cli.console import say
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.logins import ensure_login
from gtmc_pipelines.storage.migrate import migrate as migrate_database


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command()(migrate)


def migrate() -> None:
    """Bring PostgreSQL to the newest schema. `gtmc up` does it by itself; on servers of your own run it at a release.

    With GTMC_OWNER_DATABASE_URL that login migrates, and the one of GTMC_DATABASE_URL is allowed to act as the roles
    that row-level security binds, and nothing more. Run it as often as you like.
    """
    settings = load_settings()
    login_url = settings.required("database_url")
    revision = migrate_database(settings.owner_database_url or login_url)
    if settings.owner_database_url is not None:
        ensure_login(settings.owner_database_url, login_url)
    say("[green]✓[/green] schema {}", revision)
