"""What `--help` shows below the options: how a command is typed, and where one goes from there."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from rich.markup import escape

_ONE = "--tenant acme --connector salesforce"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "up": ("gtmc up", "gtmc up --no-sandbox", "gtmc up --only worker"),
    "doctor": ("gtmc doctor", "gtmc doctor --json"),
    "demo": ("gtmc demo", "gtmc demo --keep"),
    "tenants add": ("gtmc tenants add acme --name 'Acme Inc.'",),
    "tenants list": ("gtmc tenants list",),
    "tenants remove": ("gtmc tenants remove acme",),
    "people find": ("gtmc people find --tenant acme --email kim@example.com",),
    "people erase": (
        "gtmc people erase --tenant acme --email kim@example.com",
        "gtmc people erase --tenant acme --email kim@example.com --external-id salesforce:003000000000001AAA",
    ),
    "connectors add": (
        "gtmc connectors add --tenant acme --type salesforce",
        "gtmc connectors add --tenant acme --type fathom",
        "gtmc connectors add --tenant acme --type customerio --key-file customerio.key",
        "gtmc connectors add --tenant acme --type delivrai --key-file - --option profile=public < delivrai.key",
    ),
    "connectors connect": (
        f"gtmc connectors connect {_ONE}",
        "gtmc connectors connect --tenant acme --connector o365 --login-hint acme.com --no-browser",
        "gtmc connectors connect --tenant acme --connector fathom --key-file new.key",
    ),
    "connectors verify": (f"gtmc connectors verify {_ONE}",),
    "connectors list": ("gtmc connectors list", "gtmc connectors list --tenant acme --json"),
    "connectors show": (f"gtmc connectors show {_ONE}",),
    "connectors disconnect": (f"gtmc connectors disconnect {_ONE}",),
    "connectors schedule": (
        f"gtmc connectors schedule {_ONE} --cron '*/30 6-20 * * mon-fri' --timezone Europe/Oslo",
        f"gtmc connectors schedule {_ONE} --default",
    ),
    "connectors export": ("gtmc connectors export --tenant acme --file connectors.yaml",),
    "connectors apply": (
        "gtmc connectors apply connectors.yaml --dry-run",
        "gtmc connectors apply connectors.yaml",
        "gtmc connectors apply connectors.yaml --yes --secrets-dir /run/secrets --allow-env ACME_FATHOM_KEY",
    ),
    "connectors rebind": (
        f"gtmc connectors rebind {_ONE}",
        "gtmc connectors rebind --tenant acme --connector fathom --option base_url=https://fathom.acme.com/v1",
    ),
    "sync": (f"gtmc sync {_ONE}", f"gtmc sync {_ONE} --full --stream contacts", f"gtmc sync {_ONE} --no-wait"),
    "syncs list": ("gtmc syncs list --tenant acme", f"gtmc syncs list {_ONE} --limit 5"),
    "syncs show": ("gtmc syncs show 1f0c9a7e",),
    "syncs cancel": ("gtmc syncs cancel 1f0c9a7e",),
    "mappings show": (f"gtmc mappings show {_ONE}", f"gtmc mappings show {_ONE} --entity person --json > person.json"),
    "mappings set": (f"gtmc mappings set {_ONE} --entity person --file person.json",),
    "mappings preview": (
        f"gtmc mappings preview {_ONE} --entity person",
        f"gtmc mappings preview {_ONE} --entity person --file person.json --limit 5",
    ),
    "mappings reset": (f"gtmc mappings reset {_ONE} --entity person",),
    "mappings apply": (f"gtmc mappings apply {_ONE}",),
    "mappings import-legacy": (f"gtmc mappings import-legacy {_ONE}",),
    "mappings fields": (f"gtmc mappings fields {_ONE} --entity person",),
    "o365 accept-dpa": ("gtmc o365 accept-dpa --tenant acme --by 'Kim Berg, CISO'",),
    "o365 withdraw-dpa": ("gtmc o365 withdraw-dpa --tenant acme",),
    "o365 domains add": ("gtmc o365 domains add --tenant acme --own acme.com partner.com customer.com",),
    "o365 domains remove": ("gtmc o365 domains remove --tenant acme partner.com",),
    "o365 domains list": ("gtmc o365 domains list --tenant acme",),
    "dead-letters list": ("gtmc dead-letters list --tenant acme --connector salesforce",),
    "dead-letters show": ("gtmc dead-letters show 42 --tenant acme",),
    "dead-letters replay": (f"gtmc dead-letters replay {_ONE} --dry-run", f"gtmc dead-letters replay {_ONE}"),
    "failed-values list": (
        "gtmc failed-values list --tenant acme",
        f"gtmc failed-values list {_ONE} --stream accounts --records --limit 500",
    ),
    "keys generate": ("gtmc keys generate", "gtmc keys generate > new.key"),
    "keys rotate": ("gtmc keys rotate --dry-run", "gtmc keys rotate"),
    "audit list": ("gtmc audit list --tenant acme --limit 20", "gtmc audit list --action connector --json"),
    "audit verify": ("gtmc audit verify", "gtmc audit verify --tenant acme --json"),
    "migrate": ("gtmc migrate",),
    "upgrade-data": (
        "gtmc upgrade-data",
        "gtmc upgrade-data --apply",
        "gtmc upgrade-data --apply --sync --tenant acme",
        "gtmc upgrade-data --apply --accept-defaults acme",
    ),
    "worker": ("gtmc worker", "gtmc worker --concurrency 16"),
    "sandbox": ("gtmc sandbox --json", "gtmc sandbox --vendor fathom --size meetings=5000 --port 9000"),
}
"""Command → lines that can be typed as they stand, the usual one first."""

NEXT: dict[str, str] = {
    "up": "in a second terminal: gtmc tenants add, then gtmc connectors add",
    "tenants add": "gtmc connectors add --tenant <id> --type <type>",
    "people find": "gtmc people erase",
    "connectors add": "gtmc connectors connect (a login in the browser), gtmc connectors verify",
    "connectors connect": "gtmc mappings show, gtmc connectors schedule, gtmc sync",
    "connectors verify": "gtmc sync; when it is refused: gtmc connectors connect",
    "connectors list": "gtmc connectors show",
    "connectors export": "gtmc connectors apply",
    "connectors apply": "gtmc connectors connect for logins in the browser, gtmc sync",
    "connectors disconnect": "gtmc connectors connect, whenever it shall go on",
    "sync": "gtmc syncs list, gtmc dead-letters list, gtmc failed-values list",
    "failed-values list": "gtmc mappings preview --file, gtmc mappings set, gtmc mappings apply",
    "syncs list": "gtmc syncs show <id>",
    "mappings show": "edit what --json printed, then gtmc mappings preview --file, gtmc mappings set --file",
    "mappings fields": "gtmc mappings show, gtmc mappings set",
    "mappings set": "gtmc mappings preview, gtmc mappings apply",
    "mappings reset": "gtmc mappings preview, gtmc mappings apply",
    "mappings import-legacy": "gtmc mappings show, gtmc mappings apply",
    "mappings preview": "gtmc mappings set, gtmc mappings apply",
    "o365 accept-dpa": "gtmc o365 domains add, gtmc connectors connect",
    "o365 domains add": "gtmc connectors connect, gtmc sync",
    "keys generate": "gtmc keys rotate; the order of steps is in gtmc_pipelines/vault/README.md",
    "audit list": "gtmc audit verify",
    "migrate": "gtmc upgrade-data, once the new workers run",
    "upgrade-data": "gtmc upgrade-data --apply, gtmc audit list --action data_upgrade, gtmc syncs list",
}
"""Command → what people do after it, where that isn't plain."""


def teach(command: Any, path: str) -> None:
    """Give a command, and all below it, what is said here as the end of its `--help`."""
    for name, child in getattr(command, "commands", {}).items():
        teach(child, f"{path} {name}")
    if command.help:  # the terminal breaks lines where it ends, not where the docstring does
        command.help = "\n\n".join(" ".join(part.split()) for part in cleandoc(command.help).split("\n\n"))
    if path in EXAMPLES:
        lines = ["Examples:", *(f"  {escape(example)}" for example in EXAMPLES[path])]
        if path in NEXT:
            lines.append(f"Then: {escape(NEXT[path])}")
        command.epilog = "\n".join(lines)
