"""One Dagster run in a process of its own, as the run launcher gives it one: imports, run, exit.

python -m gtmc_pipelines_tests.bench.fleet_child TENANT            one tenant's run
python -m gtmc_pipelines_tests.bench.fleet_child TENANT TENANT …   one sweep over them
"""

from __future__ import annotations

import sys

import dagster as dg

from gtmc_pipelines.definitions import defs

JOB = "salesforce_sync"


def main(tenants: list[str]) -> int:
    """Exit status 0 when the run succeeded."""
    is_single = len(tenants) == 1
    config = {"ops": {"salesforce": {"config": {"sync_type": "incremental", "tenant_ids": tenants}}}}
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            partition_key=tenants[0] if is_single else None,
            run_config=None if is_single else config,
            raise_on_error=False,
        )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
