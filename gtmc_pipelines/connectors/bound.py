"""Stored credentials go only where they were proven: the one place where a session gets them and an address.

A connector sees its credentials through `BoundCredentials` alone, which compares before it hands any out, and its
HTTP session sends to the hosts that were compared and to no others. So no connector can forget it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, CredentialSource
from gtmc_pipelines.connectors.destinations import Addresses, Destinations
from gtmc_pipelines.connectors.host_guard import checked_url
from gtmc_pipelines.model.errors import Broken, Reauthorize
from gtmc_pipelines.model.noted_addresses import ADDRESS_CHANGED, NOTED, host_shown, note_of, noted, plain_address
from gtmc_pipelines.vault.secret import Secret


class BoundCredentials:
    """A CredentialSource that hands out stored credentials only while the settings lead where they may go."""

    def __init__(
        self,
        source: CredentialSource,
        settings: ConnectorSettings,
        addresses: Addresses,
        installation: ConnectorSettings,
        reach: Destinations,
    ) -> None:
        self._source = source
        self._settings = settings
        self._addresses = addresses
        self._installation = installation
        self._reach = reach

    def read(self) -> Credentials:
        """The credentials as they are stored now. Raises Reauthorize (`address_changed`)."""
        return self._compared(self._source.read())

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Replace them exactly once; see CredentialSource. Raises as `read` does."""
        self.read()  # so that a moved address isn't taken for the vendor's refusal
        return self._compared(self._source.renew(stale, lambda now: exchange(self._compared(now))))

    def _compared(self, stored: Credentials) -> Credentials:
        held = {name: secret for name, secret in stored.items() if name != NOTED}
        if held:
            follows = held.get(self._addresses.followed)
            newest = (follows.reveal(),) if follows else ()
            wanted = tuple(self._addresses.of(self._settings).values())
            allowed, is_own = allowed_by(stored.get(NOTED), self._settings, self._addresses, self._installation)
            compare(wanted, (*allowed, *newest), self._settings, is_own)
            self._reach.allow((*wanted, *newest))
        return held


def bound(
    source: CredentialSource, settings: ConnectorSettings, addresses: Addresses, installation: ConnectorSettings
) -> tuple[BoundCredentials, ConnectorSettings]:
    """What a connector authenticates with: credentials compared at every reading, settings that know the hosts.

    `installation` are the settings without anything of the connector's row.
    """
    reach = Destinations()
    bound_settings = replace(settings, destinations=reach)
    return BoundCredentials(source, bound_settings, addresses, installation, reach), bound_settings


def compare(
    wanted: Iterable[str], allowed: Iterable[str], settings: ConnectorSettings, is_own: Callable[[str], bool]
) -> None:
    """Whether a secret may be sent to all of `wanted`. Raises Reauthorize (`address_changed`) that names both sides."""
    allowed = tuple(allowed)
    for url in strangers(wanted, allowed, is_own):
        raise _changed(url, _plain(allowed), settings)


def strangers(wanted: Iterable[str], allowed: Iterable[str], is_own: Callable[[str], bool]) -> list[str]:
    """Those of `wanted` that are neither among `allowed` nor at a host that `is_own`."""
    known = _plain(allowed)
    return [url for url in wanted if not _is_known(url, known, is_own)]


def allowed_by(
    note: Secret | None, settings: ConnectorSettings, addresses: Addresses, installation: ConnectorSettings
) -> tuple[Iterable[str], Callable[[str], bool]]:
    """Where a connector's credentials may go, and which hosts are the vendor's own besides.

    Without a note (stored by an earlier version): to the vendor itself, and where the installation says.
    """
    if note is None:
        return tuple(addresses.of(installation).values()), addresses.is_own
    return noted(note.reveal(), settings.tenant_id, settings.connector_id), lambda host: False


def note_for(tenant_id: str, connector_id: str, urls: Iterable[str]) -> Secret:
    """The note to be sealed with credentials that may be sent to `urls` from now on."""
    return Secret(note_of(tenant_id, connector_id, urls))


def _plain(urls: Iterable[str]) -> set[str]:
    found = set()
    for url in urls:
        with suppress(ValueError):  # what can't be compared is not known
            found.add(plain_address(url))
    return found


def _is_known(url: str, known: Collection[str], is_own: Callable[[str], bool]) -> bool:
    try:
        return plain_address(url) in known or is_own(checked_url(url).hostname or "")
    except (ValueError, Broken):
        return False


def _changed(url: str, known: Collection[str], settings: ConnectorSettings) -> Reauthorize:
    before = ", ".join(sorted({host_shown(address) for address in known})) or "none that is known"
    return Reauthorize(
        ADDRESS_CHANGED,
        f"The stored credentials were confirmed for {before}, and the settings would now send them to "
        f"{_difference(url, known)}; nothing was sent.",
        next_step="Correct the option or variable that names it, or confirm it: gtmc connectors rebind "
        f"--tenant {settings.tenant_id} --connector {settings.connector_id}.",
    )


def _difference(url: str, known: Collection[str]) -> str:
    """The host; with its path when that alone differs."""
    host = host_shown(url)
    if host not in {host_shown(address) for address in known}:
        return host
    shown = plain_address(url)[:200]
    return shown if shown.isprintable() else host
