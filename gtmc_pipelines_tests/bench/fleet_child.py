"""One Dagster run in a process of its own, as the run launcher gives it one: imports, run, exit.

python -m gtmc_pipelines_tests.bench.fleet_child run JOB JSON     what a run request asks for: config, tags, partition
python -m gtmc_pipelines_tests.bench.fleet_child checks TYPE      every check of every asset of a type, and nothing else

Prints one JSON object. Exit status 0 when the run succeeded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import dagster as dg

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.checks.catalog import check_specs
from gtmc_pipelines.model.connector_types import ConnectorType


def run_job(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Execute a job as a run request asks."""
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def(name).execute_in_process(
            instance=instance,
            run_config=request.get("run_config"),
            partition_key=request.get("partition_key"),
            tags=request.get("tags"),
            raise_on_error=False,
        )
    return {"run_id": result.run_id, "is_success": result.success}


def run_checks(connector: ConnectorType) -> dict[str, Any]:
    """Execute all checks of a connector type in one run. `cpu` and `seconds` are those of the run without imports."""
    keys = {spec.key for spec in check_specs(connector)}
    whole = defs.resolve_implicit_global_asset_job_def()
    job = whole.get_subset(asset_selection=set(), asset_check_selection=keys)
    seconds, cpu = time.monotonic(), time.process_time()
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    found = result.get_asset_check_evaluations()
    return {
        "run_id": result.run_id,
        "is_success": result.success and len(found) == len(keys),
        "checks": len(found),
        "passed": sum(evaluation.passed for evaluation in found),
        "not_passed": sorted({f"{one.check_name}: {one.description}" for one in found if not one.passed}),
        "seconds": time.monotonic() - seconds,
        "cpu": time.process_time() - cpu,
    }


def main(what: str, name: str, request: str = "{}") -> int:
    """Run one of the two."""
    found = run_checks(ConnectorType(name)) if what == "checks" else run_job(name, json.loads(request))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["is_success"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
