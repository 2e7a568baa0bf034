"""Checks of fields: mapped ones are there, and the vendor's records still have the shape they had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gtmc_pipelines.defs.checks.evidence import Evidence, Subject
from gtmc_pipelines.defs.checks.verdict import Finding, Verdict
from gtmc_pipelines.model.catalog import Stream

if TYPE_CHECKING:
    from gtmc_pipelines.storage.check_models import FieldKind, Presence

RECORDS_NEEDED = 10
"""Fewer records on one side of a comparison say nothing."""

ALWAYS_THERE = 0.95
_NAMED = 6


def missing_fields(evidence: Evidence, subject: Subject) -> Verdict:
    """No mapped field is hidden, required ones are filled in every record looked at, a tenant's own in some.

    Hidden fields are those of every tenant, as its last sync has noted them. A field of the default mapping that a
    vendor's account doesn't use is no fault: those are only counted.
    """
    findings, looked_at, unused = _hidden(evidence, subject), set(), set()
    hidden = len(findings)
    for row in evidence.sampled:
        for stream in subject.streams:
            presence = {found.path: found for found in evidence.presence(row.tenant_id, stream)}
            if not any(found.records for found in presence.values()):
                continue
            looked_at.add(row.tenant_id)
            required, own, plain = _mapped(evidence, subject, row.tenant_id, stream)
            gaps = [path for path in required if _is_patchy(presence.get(path))]
            empty = [path for path in own if _is_empty(presence.get(path)) and path not in gaps]
            unused |= {(stream.name, path) for path in plain if _is_empty(presence.get(path))}
            if gaps or empty:
                findings.append(_missing(evidence, row.tenant_id, stream, gaps, empty))
    return Verdict(
        len(looked_at),
        findings,
        note="Mapped fields are there." if looked_at else "No records to look at yet.",
        units="sampled tenants",
        numbers={"default_fields_never_filled": len(unused), "hidden_fields": hidden},
        is_severe=bool(hidden),
    )


def drifted_fields(evidence: Evidence, subject: Subject) -> Verdict:
    """Records of each tenant's newest sync have the fields and types of those before."""
    findings, looked_at, is_mapped = [], set(), False
    for row in evidence.sampled:
        for stream in subject.streams:
            appeared, gone, changed, is_comparable = compare(evidence.kinds(row.tenant_id, stream))
            if is_comparable:
                looked_at.add(row.tenant_id)
            if not (appeared or gone or changed):
                continue
            mapped = {
                path.split(".")[0] for group in _mapped(evidence, subject, row.tenant_id, stream) for path in group
            }
            is_mapped = is_mapped or bool(mapped & {*gone, *changed})
            findings.append(_drift(row.tenant_id, stream, appeared, gone, changed, mapped))
    return Verdict(
        len(looked_at),
        findings,
        note="The vendor's records have kept their shape." if looked_at else "Too few records to compare yet.",
        units="sampled tenants",
        is_severe=is_mapped,
    )


def compare(kinds: Iterable[FieldKind]) -> tuple[list[str], list[str], list[str], bool]:
    """Fields that appeared, disappeared, changed their type; and whether there was enough to compare.

    A field has disappeared when nearly all earlier records had it and no new one does, and appeared the
    other way round. A type has changed when old and new values have none in common, nulls apart.
    """
    counts: dict[bool, dict[str, int]] = {True: defaultdict(int), False: defaultdict(int)}
    types: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
    sampled = {True: 0, False: 0}
    for found in kinds:
        sampled[found.is_new] = found.sampled
        counts[found.is_new][found.field] += found.records
        if found.kind != "null":
            types[found.is_new][found.field].add(found.kind)
    if min(sampled.values()) < RECORDS_NEEDED:
        return [], [], [], False
    new, old = counts[True], counts[False]
    appeared = [name for name in new if name not in old and new[name] >= ALWAYS_THERE * sampled[True]]
    gone = [name for name in old if name not in new and old[name] >= ALWAYS_THERE * sampled[False]]
    both = [name for name in new if types[True].get(name) and types[False].get(name)]
    changed = [name for name in both if not types[True][name] & types[False][name]]
    return sorted(appeared), sorted(gone), sorted(changed), True


def _hidden(evidence: Evidence, subject: Subject) -> list[Finding]:
    """One finding for each stream of a tenant with hidden fields."""
    from gtmc_pipelines.mapping.reads import tops_of

    found = []
    for each in evidence.hidden.values():
        if each.stream in subject.stream_names:
            entries = [entry for entity in subject.entities for entry in evidence.mapping(each.tenant_id, entity)]
            tops = tops_of(entries, each.stream)
            since = {name: moment for name, moment in each.since.items() if name.partition(".")[0] in tops}
            found += [replace(each, since=since)] if since else []
    return [
        Finding(
            each.tenant_id,
            f"the vendor no longer shows mapped {_names(list(each.since))}, not since "
            f"{min(each.since.values()):%Y-%m-%d %H:%M} UTC at the latest; stored values are kept.",
            "Let the connected user see the field again: what changed meanwhile is then read again. If it is gone for "
            "good, take it out of the mapping.",
            each.stream,
        )
        for each in found
    ]


def _mapped(evidence: Evidence, subject: Subject, tenant: str, stream: Stream) -> tuple[set[str], set[str], set[str]]:
    """Source paths of the asset that are required, mapped by the tenant itself, and mapped by default."""
    required: set[str] = set()
    own: set[str] = set()
    plain: set[str] = set()
    for entity in stream.entities:
        if entity not in subject.entities:
            continue
        is_own = entity in evidence.own_mappings.get(tenant, {})
        for entry in evidence.mapping(tenant, entity):
            if not entry.source_field or entry.stream not in (None, stream.name):
                continue
            is_plain_required = entry.required and entry.custom_transform is None
            (required if is_plain_required else own if is_own else plain).add(entry.source_field)
    return required, own, plain


def _is_patchy(found: Presence | None) -> bool:
    return found is not None and found.filled < found.records


def _is_empty(found: Presence | None) -> bool:
    return found is not None and found.records >= RECORDS_NEEDED and found.filled == 0


def _missing(evidence: Evidence, tenant: str, stream: Stream, gaps: list[str], empty: list[str]) -> Finding:
    parts = []
    if gaps:
        parts.append(f"required {_names(gaps)} not filled in every record")
    if empty:
        parts.append(f"mapped {_names(empty)} empty in every record")
    remedy = (
        f"Review the field mapping of this tenant's {evidence.connector.label} connector: a field may have been "
        "renamed, or the connected user may not see it."
    )
    return Finding(tenant, "; ".join(parts) + ".", remedy, stream.name)


def _drift(
    tenant: str, stream: Stream, appeared: list[str], gone: list[str], changed: list[str], mapped: set[str]
) -> Finding:
    words = (("new", appeared), ("gone", gone), ("another type", changed))
    seen = "; ".join(f"{word}: {_names(names)}" for word, names in words if names)
    if mapped & {*gone, *changed}:
        remedy = "A mapped field is among them: correct the mapping, then run a full sync of this tenant."
    else:
        remedy = "No mapped field is affected. Map what is new if scoring needs it; a full sync clears this."
    return Finding(tenant, f"{seen}.", remedy, stream.name)


def _names(paths: list[str]) -> str:
    named = ", ".join(f"`{path}`" for path in sorted(paths)[:_NAMED])
    return named if len(paths) <= _NAMED else f"{named} and {len(paths) - _NAMED} more"
