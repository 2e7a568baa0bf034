"""Which subjects and streams a scenario is run for: all, less those whose subject says why it can't happen."""

from __future__ import annotations

import pytest

from gtmc_pipelines_tests.acceptance.subject import Exempt, Fault, Members, Rate
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

each_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.type.value)
"""Every subject."""


def each_stream(fault: Fault) -> pytest.MarkDecorator:
    """Every stream with reading code of its own at which this fault can happen."""
    found = [
        pytest.param(subject, case, id=f"{subject.type.value}-{case.name}")
        for subject in SUBJECTS
        for case in subject.probed
        if not isinstance(subject.wish(case, fault), Exempt)
    ]
    return pytest.mark.parametrize(("subject", "case"), found)


each_way = pytest.mark.parametrize(
    ("subject", "options"),
    [
        pytest.param(subject, options, id=f"{subject.type.value}-{name}" if name else subject.type.value)
        for subject in SUBJECTS
        for name, options in {"": {}, **subject.ways}.items()
    ],
)
"""Every subject, once more for each other way it can read the same."""

each_group = pytest.mark.parametrize(
    ("subject", "members"),
    [
        pytest.param(subject, subject.members, id=subject.type.value)
        for subject in SUBJECTS
        if isinstance(subject.members, Members)
    ],
)
"""Every subject that reads a stream member by member."""

each_refusal = pytest.mark.parametrize(
    ("subject", "refusal"),
    [
        pytest.param(subject, refusal, id=f"{subject.type.value}-{refusal.stream}-{refusal.code}")
        for subject in SUBJECTS
        if not isinstance(subject.refusals, Exempt)
        for refusal in subject.refusals
    ],
)
"""Every stream that is refused alone, at subjects with more than one."""

each_limited_subject = pytest.mark.parametrize(
    "subject",
    [subject for subject in SUBJECTS if isinstance(subject.rate, Rate)],
    ids=lambda subject: subject.type.value,
)
"""Every subject whose vendor limits requests in a short time."""
