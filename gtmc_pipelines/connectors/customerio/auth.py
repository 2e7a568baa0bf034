"""Proving a Customer.io key: which region it belongs to, and what is wrong with one that doesn't work.

A key of the other region gets a bare 401, the same as a wrong one, so both regions are asked. A Track key
(`site_id:key`) can only write; the Track host tells that it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, CredentialSource
from gtmc_pipelines.connectors.customerio.api import CustomerioSession
from gtmc_pipelines.connectors.customerio.errors import ALLOW_LIST
from gtmc_pipelines.connectors.customerio.hosts import other_region, probe_url, region_of, track_probe_url
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.login import HeldCredentials, KeyLogin
from gtmc_pipelines.model.errors import Reauthorize

_APP_KEY = "Make an App API key under Settings, Account Settings, API Credentials, App API Keys, and enter that."


class _TrackRegion(msgspec.Struct):
    region: str = ""


def discover(settings: ConnectorSettings, keys: Credentials) -> Mapping[str, Any]:
    """Prove the key; gives `{"region": …}`, or nothing where a base URL is set by hand.

    Raises Reauthorize: `wrong_region`, `key_refused`, `forbidden` or `track_key`, saying which address
    answered what.
    """
    source = HeldCredentials(keys)
    if ":" in keys["api_key"].reveal():
        raise _track_key(settings, keys)
    if settings.options.get("base_url") or settings.options.get("probe_url"):
        refusal = refusal_of(source, settings)
        if refusal is not None:
            raise _refused({probe_url(settings): refusal})
        return {}
    asked = settings.options.get("region")
    refusals: dict[str, Reauthorize] = {}
    for region in (region_of(settings), other_region(region_of(settings))):
        there = in_region(settings, region)
        refusal = refusal_of(source, there)
        if refusal is None and asked in (None, region):
            return {"region": region}
        if refusal is None:
            raise wrong_region(settings, there)
        refusals[probe_url(there)] = refusal
    raise _refused(refusals)


def refusal_of(credentials: CredentialSource, settings: ConnectorSettings) -> Reauthorize | None:
    """Why the key doesn't work at the address these settings lead to; None when it does. Raises other faults."""
    session = CustomerioSession(credentials, settings)
    try:
        session.probe()
    except Reauthorize as refusal:
        return refusal
    finally:
        session.close()
    return None


def in_region(settings: ConnectorSettings, region: str) -> ConnectorSettings:
    """The same settings in another region."""
    return replace(settings, options={**settings.options, "region": region})


def wrong_region(settings: ConnectorSettings, there: ConnectorSettings) -> Reauthorize:
    """The error for a key that works in the region `there` and not in the one that is set."""
    return Reauthorize(
        "wrong_region",
        f"The key is good, but for the other region: {probe_url(settings)} answered 401 and {probe_url(there)} "
        "accepted it.",
        next_step=f"Use the option region={region_of(there)}, or none, and connect again.",
    )


def _refused(refusals: Mapping[str, Reauthorize]) -> Reauthorize:
    """The key is unknown everywhere, or known and not allowed."""
    forbidden = next((url for url, refusal in refusals.items() if refusal.code != "key_refused"), None)
    if forbidden is not None:
        refusal = refusals[forbidden]
        return Reauthorize(refusal.code, f"{forbidden}: {refusal.sentence}", next_step=refusal.next_step)
    asked = " and ".join(refusals)
    return Reauthorize(
        "key_refused",
        f"The key is wrong or withdrawn, or doesn't allow this address: {asked} answered 401.",
        next_step=f"Copy the key again. {_APP_KEY} {ALLOW_LIST}",
    )


def _track_key(settings: ConnectorSettings, keys: Credentials) -> Reauthorize:
    """What the Track host says about a pair `site_id:key`."""
    site, _, key = keys["api_key"].reveal().partition(":")
    url = track_probe_url(settings)
    with VendorSession("Customer.io", settings) as http:
        answer = http.get(url, auth=(site, key))
    if answer.status_code != 200:
        sentence = f"This looks like a Track key pair, and {url} answered {answer.status_code}."
        return Reauthorize("key_refused", sentence, next_step=_APP_KEY)
    try:
        region = msgspec.json.decode(answer.content, type=_TrackRegion).region
    except msgspec.MsgspecError:
        region = ""
    where = f" (region {region})" if region in ("us", "eu") else ""
    sentence = f"This is a Track key{where}: {url} accepted it, but such keys can only write."
    return Reauthorize("track_key", sentence, next_step=_APP_KEY)


LOGIN = KeyLogin(("api_key",), discover=discover)
