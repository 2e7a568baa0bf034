"""Reads a connector file: every fault of it is found before anything is compared or done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from gtmc_pipelines.cli.declared.desired import Desired, Domains, Schedule
from gtmc_pipelines.cli.declared.positions import Source, advice
from gtmc_pipelines.cli.declared.references import Reach, Reference, advice_on_variable
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.options import parse_options
from gtmc_pipelines.connectors.registry import connector_of, login_of, options_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.cadence import next_times
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.entities import MAPPABLE, Entity
from gtmc_pipelines.model.errors import Misuse

VERSION = "1"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_KEYS = ("name", "options", "schedule", "credentials", "mappings", "domains")


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading needs to know: tenants there are, hosts of a sandbox, what the file may refer to, the time."""

    source: Source
    tenants: tuple[str, ...]
    sandbox_hosts: frozenset[str]
    reach: Reach
    now: datetime

    def connectors(self) -> list[Desired]:
        """All connectors of the file, in its order; what is wrong stands in the source's faults."""
        root = self.source.root()
        if root is None:
            return []
        top = self.source.known(root, "the file", ("version", "tenants"))
        if "version" not in top or getattr(top["version"], "value", None) != VERSION:
            self.source.blame(top.get("version", root), f"The file must say version: {VERSION}.")
        if "tenants" not in top:
            self.source.blame(root, "The file names no tenants.")
            return []
        found: list[Desired] = []
        for key, tenant, node in self.source.pairs(top["tenants"], "tenants"):
            if tenant not in self.tenants:
                self.source.blame(key, f"There is no tenant {tenant[:80]!r}; {_near_tenants(tenant, self.tenants)}")
            inside = self.source.known(node, "a tenant", ("connectors",))
            if "connectors" in inside:
                found += self._of_tenant(tenant, inside["connectors"])
        return found

    def _of_tenant(self, tenant: str, node: yaml.Node) -> Iterable[Desired]:
        for key, name, value in self.source.pairs(node, "connectors"):
            if name not in list(ConnectorType):
                self.source.blame(key, f"{name[:40]!r} is no connector type; {advice(name, list(ConnectorType))}")
            else:
                yield self._connector(tenant, ConnectorType(name), key, value)

    def _connector(self, tenant: str, kind: ConnectorType, key: yaml.Node, node: yaml.Node) -> Desired:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            parts: dict[str, yaml.Node] = {}  # `fathom:` alone: there shall be one
        else:
            parts = self.source.known(node, f"a {kind} connector", _KEYS)
        return Desired(
            tenant,
            kind,
            key.start_mark.line + 1,
            key.start_mark.column + 1,
            name=self.source.text_of(parts["name"], "The name") if "name" in parts else None,
            options=self._options(kind, parts["options"]) if "options" in parts else {},
            schedule=self._schedule(parts["schedule"]) if "schedule" in parts else None,
            credentials=self._credentials(kind, parts["credentials"]) if "credentials" in parts else {},
            mappings=self._mappings(kind, parts["mappings"]) if "mappings" in parts else {},
            domains=self._domains(kind, parts["domains"]) if "domains" in parts else None,
        )

    def _options(self, kind: ConnectorType, node: yaml.Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.source.known(node, "options", [option.name for option in options_of(kind)]).items():
            text = self.source.text_of(value, f"The option {name}")
            try:
                found |= parse_options(options_of(kind), [f"{name}={text}"], self.sandbox_hosts) if text else {}
            except Misuse as error:
                self.source.blame(value, error.sentence)
        return found

    def _schedule(self, node: yaml.Node) -> Schedule | None:
        if isinstance(node, yaml.ScalarNode) and node.value == "default":
            return Schedule(None)
        parts = self.source.known(node, "a schedule", ("cron", "timezone"))
        cron = self.source.text_of(parts["cron"], "The cron") if "cron" in parts else None
        zone = self.source.text_of(parts["timezone"], "The time zone") if "timezone" in parts else "UTC"
        if cron is None or zone is None:
            if "cron" not in parts:
                self.source.blame(node, "A schedule is `default`, or has a cron.")
            return None
        try:
            next_times(cron, zone, self.now, 1)
        except Misuse as error:
            self.source.blame(parts["timezone" if error.code == "unknown_timezone" else "cron"], error.sentence)
        return Schedule(cron, zone)

    def _credentials(self, kind: ConnectorType, node: yaml.Node) -> dict[str, Reference]:
        login = login_of(kind)
        if not isinstance(login, KeyLogin):
            self.source.blame(node, f"{kind.label} is connected in the browser; it takes no credentials here.")
            return {}
        found = {}
        for name, value in self.source.known(node, "credentials", login.credential_names).items():
            reference = self._reference(value)
            if reference is not None:
                found[name] = reference
        return found

    def _reference(self, node: yaml.Node) -> Reference | None:
        """`{env: NAME}` or `{file: PATH}`; what it may lead to is `references`' to say."""
        if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
            self.source.blame(node, "Write {env: NAME} or {file: PATH}: a secret doesn't belong in this file.")
            return None
        for kind, value in self.source.known(node, "a reference", ("env", "file")).items():
            place = self.source.text_of(value, "A reference")
            if place is None:
                return None
            if kind == "env" and not (_VARIABLE.fullmatch(place) and self.reach.may_name(place)):
                self.source.blame(value, advice_on_variable(place))
                return None
            return Reference(kind, place, value.start_mark.line + 1, value.start_mark.column + 1, self.reach)
        return None

    def _mappings(self, kind: ConnectorType, node: yaml.Node) -> dict[Entity, tuple[Mapping[str, Any], ...] | None]:
        streams = connector_of(kind).streams
        mappable = [entity for entity in MAPPABLE if any(entity in stream.entities for stream in streams)]
        found: dict[Entity, tuple[Mapping[str, Any], ...] | None] = {}
        for name, value in self.source.known(node, "mappings", mappable).items():
            entity = Entity(name)
            if isinstance(value, yaml.ScalarNode) and value.value == "default":
                found[entity] = None
                continue
            feeding = [stream.name for stream in streams if entity in stream.entities]
            found[entity] = self._entries(entity, value, feeding)
        return found

    def _entries(self, entity: Entity, node: yaml.Node, streams: list[str]) -> tuple[Mapping[str, Any], ...]:
        nodes = self.source.list_of(node, "A mapping")
        if not isinstance(node, yaml.SequenceNode):
            return ()
        entries = [self.source.value_of(each) for each in nodes]
        problems = validate(entity, entries, streams)
        for problem in problems:
            at = nodes[problem.position - 1] if problem.position else node
            self.source.blame(_value_at(at, problem.field), f"{problem.field}: {problem.sentence}".lstrip(": "))
        return () if problems else tuple(MappingEntry.of(entry).as_dict() for entry in entries)

    def _domains(self, kind: ConnectorType, node: yaml.Node) -> Domains | None:
        if kind is not ConnectorType.O365:
            self.source.blame(node, f"Only o365 has domains; this is {kind}.")
            return None
        parts = self.source.known(node, "domains", ("allowed", "own"))
        if "allowed" not in parts:
            self.source.blame(node, "Domains need a list `allowed`; an empty one keeps nothing.")
            return None
        own = self._domain(parts["own"]) if "own" in parts else None
        allowed = []
        for each in self.source.list_of(parts["allowed"], "The allowed domains"):
            domain = self._domain(each)
            if domain and own and (domain == own or domain.endswith(f".{own}")):
                self.source.blame(each, "This is the tenant's own domain, and its people are never kept.")
            elif domain:
                allowed.append(domain)
        return Domains(tuple(sorted(set(allowed))), own)

    def _domain(self, node: yaml.Node) -> str | None:
        text = self.source.text_of(node, "A domain")
        domain = plain_domain(text) if text else None
        if text and domain is None:
            self.source.blame(node, "This is no domain; write it like partner.com, no stars.")
        return domain


def _value_at(node: yaml.Node, name: str) -> yaml.Node:
    """The value of a key in a mapping node, or the node itself."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if getattr(key, "value", None) == name:
                return value  # type: ignore[no-any-return]
    return node


def _near_tenants(tenant: str, tenants: Iterable[str]) -> str:
    said = advice(tenant, tenants)
    return said if said.startswith("did you mean") else "add it with `gtmc tenants add`."
