"""Listens to what is logged during a scenario, as the worker logs it, and looks for what must not be there."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.vault.redaction import RedactingFilter, Redactor

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SECRET_NAMES = re.compile(r"token|secret|key|password", re.IGNORECASE)
_SHORTEST_SECRET = 12
_OURS = "gtmc_pipelines"


class Eavesdropper:
    """While the block runs: our own loggers unredacted, everybody's DEBUG lines with the worker's redaction."""

    def __init__(self, redactor: Redactor) -> None:
        self._text = io.StringIO()
        self._plain, self._redacted = logging.StreamHandler(self._text), logging.StreamHandler(self._text)
        self._redacted.addFilter(RedactingFilter(redactor))
        self._stored: list[StoredCredentials] = []
        self._secrets: set[str] = set()
        self._level = logging.getLogger().level

    def __enter__(self) -> Self:
        logging.getLogger(_OURS).addHandler(self._plain)
        logging.getLogger().addHandler(self._redacted)
        logging.getLogger().setLevel(logging.DEBUG)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().setLevel(self._level)
        logging.getLogger().removeHandler(self._redacted)
        logging.getLogger(_OURS).removeHandler(self._plain)
        for stored in self._stored:  # renewed ones too
            self._secrets |= {secret.reveal() for name, secret in stored.read().items() if _SECRET_NAMES.search(name)}

    def remember(self, announced: Mapping[str, Any], stored: StoredCredentials) -> None:
        """Secrets to look for: those the vendor announced and those of a connector, now and at the end."""
        self._stored.append(stored)
        self._secrets |= set(_secrets_in(announced))
        self._secrets |= {secret.reveal() for name, secret in stored.read().items() if _SECRET_NAMES.search(name)}

    def assert_silent(self, emails: frozenset[str], told: Iterable[str]) -> None:
        """Neither the log nor any sentence for users holds a secret or one of these addresses."""
        text = "\n".join([self._text.getvalue(), *told])
        heard = [name[:4] + "…" for name in self._secrets if len(name) >= _SHORTEST_SECRET and name in text]
        assert not heard, f"{len(heard)} secrets were logged or told"
        people = {found.lower() for found in _EMAIL.findall(text)} & emails
        assert not people, f"{len(people)} people's addresses were logged or told"


def _secrets_in(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets_in(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner, name)
    elif isinstance(value, str) and _SECRET_NAMES.search(name):
        yield value
