"""A Dagster run in a process of its own, to be killed: launches a job, or re-executes a run from its parent.

python -m gtmc_pipelines_tests.journeys.dagster_child <tenant> [<parent run id>]
"""

from __future__ import annotations

import sys

import dagster as dg

from gtmc_pipelines.definitions import defs


def salesforce_sync() -> dg.JobDefinition:
    """The job, as Dagster's run workers find it again."""
    return defs.resolve_job_def("salesforce_sync")


def main(tenant: str, parent: str | None) -> int:
    """Run the job on the instance of DAGSTER_HOME; exit status 0 when it succeeded."""
    options = dg.ReexecutionOptions(parent_run_id=parent) if parent else None
    with dg.DagsterInstance.get() as instance:
        job = dg.reconstructable(salesforce_sync)
        return (
            0
            if dg.execute_job(job, instance, tags={"dagster/partition": tenant}, reexecution_options=options).success
            else 1
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
