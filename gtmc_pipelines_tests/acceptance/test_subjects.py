"""Each connector of the registry is a subject, and each subject says about every scenario how or why not."""

import pytest

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines.model.catalog import STREAMS, DeleteDetection
from gtmc_pipelines_tests.acceptance.cases import each_subject
from gtmc_pipelines_tests.acceptance.subject import Exempt, Fault, Subject
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS


@pytest.mark.parametrize("kind", CONNECTORS, ids=str)
def test_every_connector_is_a_subject_of_the_suite(kind: str) -> None:
    assert kind in {subject.type for subject in SUBJECTS}, f"write subject_{kind}.py"


@each_subject
def test_every_stream_of_the_catalog_has_its_case(subject: Subject) -> None:
    assert [case.name for case in subject.streams] == [stream.name for stream in STREAMS[subject.type]]
    probed = {case.name for case in subject.probed}
    assert probed
    assert all(case.same_reader_as in probed for case in subject.streams if case.same_reader_as)


@each_subject
def test_deletions_are_tried_wherever_the_catalog_says_the_vendor_tells(subject: Subject) -> None:
    for case in subject.streams:
        is_told = subject.stream(case).deletes is not DeleteDetection.NONE
        assert is_told is not isinstance(case.delete, Exempt), case.name


@each_subject
def test_a_failing_member_is_tried_wherever_the_catalog_says_a_stream_has_members(subject: Subject) -> None:
    sliced = [case.name for case in subject.streams if subject.stream(case).is_sliced]
    assert sliced == ([] if isinstance(subject.members, Exempt) else [subject.members.stream])
    assert isinstance(subject.refusals, Exempt) is (len(subject.streams) == 1)


@each_subject
def test_every_fault_is_brought_about_or_exempt_for_a_reason(subject: Subject) -> None:
    declared: list[object] = [subject.wish(case, fault) for case in subject.probed for fault in Fault]
    declared += [subject.wide, subject.hidden, subject.members, subject.refusals]
    declared += [subject.rate, *(case.late for case in subject.streams), *(case.delete for case in subject.streams)]
    for one in declared:
        if isinstance(one, Exempt):
            assert len(one.reason.split()) >= 5, f"{one.reason!r} is no reason"
