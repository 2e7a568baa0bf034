"""The vendors there are. A new one is a folder with a `Vendor` and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gtmc_pipelines.sandbox.customerio.vendor import CustomerioVendor
from gtmc_pipelines.sandbox.delivrai.vendor import DelivraiVendor
from gtmc_pipelines.sandbox.fathom.vendor import FathomVendor
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.o365.vendor import O365Vendor
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.salesforce.vendor import SalesforceVendor
from gtmc_pipelines.sandbox.vendor import Vendor

VENDORS: Mapping[str, Callable[[SandboxOptions, Knobs], Vendor]] = {
    "salesforce": SalesforceVendor,
    "customerio": CustomerioVendor,
    "fathom": FathomVendor,
    "delivrai": DelivraiVendor,
    "o365": O365Vendor,
}
"""Vendor by name; the position decides its port under `--ports-from`."""


def vendors_of(options: SandboxOptions, knobs: Knobs) -> list[Vendor]:
    """The vendors asked for. Raises SandboxMisuse for an unknown vendor or size name."""
    unknown = sorted(set(options.vendors) - set(VENDORS))
    if unknown:
        raise SandboxMisuse(f"There is no vendor {unknown[0]!r}; known are {', '.join(VENDORS)}.")
    vendors = [make(options, knobs) for name, make in VENDORS.items() if not options.vendors or name in options.vendors]
    sizes = {size for vendor in vendors for size in vendor.sizes}
    strange = sorted(set(options.sizes) - sizes)
    if strange:
        raise SandboxMisuse(f"There is no size {strange[0]!r}; known are {', '.join(sorted(sizes))}.")
    return vendors
