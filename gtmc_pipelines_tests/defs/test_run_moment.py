"""A re-execution finds the moments its ancestors' workflow ids were made from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from gtmc_pipelines.defs.names import SYNC_AT_TAG
from gtmc_pipelines.defs.run_moment import RunMoment, created_at, moment_of, pinned_text


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def empty_job() -> None:
    """Holds the op."""
    nothing()


def _run(instance: dg.DagsterInstance, parent: dg.DagsterRun | None = None, status: str = "FAILURE") -> dg.DagsterRun:
    tags = {"dagster/parent_run_id": parent.run_id, "dagster/root_run_id": parent.run_id} if parent else {}
    return instance.create_run_for_job(empty_job, tags=tags, status=dg.DagsterRunStatus(status))


def test_a_first_run_has_only_its_own_creation_time(instance: dg.DagsterInstance) -> None:
    run = _run(instance)
    assert moment_of(instance, run) == RunMoment(created_at(instance, run.run_id))


def test_a_parent_killed_before_it_pinned_is_found_by_its_creation_time(instance: dg.DagsterInstance) -> None:
    parent = _run(instance)
    child = _run(instance, parent)
    assert moment_of(instance, child).inherited == (created_at(instance, parent.run_id),)


def test_a_chain_of_re_executions_is_handed_down_newest_first(instance: dg.DagsterInstance) -> None:
    first = _run(instance)
    instance.add_run_tags(first.run_id, {SYNC_AT_TAG: pinned_text(moment_of(instance, first))})
    second = _run(instance, first)
    instance.add_run_tags(second.run_id, {SYNC_AT_TAG: pinned_text(moment_of(instance, second))})
    third = moment_of(instance, _run(instance, second))
    assert third.inherited == (created_at(instance, second.run_id), created_at(instance, first.run_id))


def test_re_executing_a_run_that_succeeded_syncs_anew(instance: dg.DagsterInstance) -> None:
    parent = _run(instance, status="SUCCESS")
    assert moment_of(instance, _run(instance, parent)).inherited == ()


def test_tags_copied_without_a_parent_are_not_believed(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(empty_job, tags={SYNC_AT_TAG: "2026-01-01T00:00:00+00:00"})
    assert moment_of(instance, run).inherited == ()


def test_the_chain_does_not_grow_for_ever(instance: dg.DagsterInstance) -> None:
    own = created_at(instance, _run(instance).run_id)
    moment = RunMoment(own, tuple(own - timedelta(hours=n) for n in range(1, 50)))
    assert len(pinned_text(moment).split(",")) == 8
