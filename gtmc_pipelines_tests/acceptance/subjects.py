"""The subjects of the suite: one for each connector of the registry, described in `subject_<type>.py`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines_tests.acceptance.subject import Subject


def _subject_of(kind: str) -> Subject | None:
    name = f"gtmc_pipelines_tests.acceptance.subject_{kind}"
    if find_spec(name) is None:
        return None  # test_subjects.py says so
    subject: Subject = import_module(name).SUBJECT
    return subject


SUBJECTS: tuple[Subject, ...] = tuple(found for kind in CONNECTORS if (found := _subject_of(kind)) is not None)
