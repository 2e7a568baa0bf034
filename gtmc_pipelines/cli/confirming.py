"""Confirming where secrets are sent: a host nobody has named before is asked about by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

import typer

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.shown_text import shown

ConfirmAddress = Annotated[
    list[str] | None,
    typer.Option("--confirm-address", metavar="HOST[:PORT]", help="Send secrets to this new host; repeatable."),
]


def confirm_hosts(hosts: Iterable[str], confirmed: Collection[str], *, can_ask: bool) -> None:
    """Go on only when every host was confirmed, by the option or at the terminal; `--yes` is no answer to this.

    Raises Misuse (`address_not_confirmed`) where nobody can be asked, and Abort for an answer of no.
    """
    left = [host for host in hosts if host not in confirmed]
    for host in left:
        if not can_ask:
            raise Misuse(
                "address_not_confirmed",
                f"Secrets would be sent to {host}, which is neither the vendor's address nor this installation's.",
                next_step="If that is meant, add " + " ".join(f"--confirm-address {each}" for each in left) + ".",
            )
        typer.confirm(f"Send secrets to {shown(host)}, where none of them has been sent before?", abort=True)
