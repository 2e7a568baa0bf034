"""Launching and watching runs of a Dagster that is already up, the way its UI does: through GraphQL."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError
from gql.transport.requests import RequestsHTTPTransport

from gtmc_pipelines.model.errors import Broken, Misuse

REPOSITORY = "__repository__"
FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

_LOCATIONS = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"

_ADD_PARTITION = """
mutation ($repository: RepositorySelector!, $set: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $set, partitionKey: $key) {
    __typename
    ... on PythonError { message }
  }
}"""

_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""

_STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"

_AT_WORK = """
query ($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { name sensorState { ticks(limit: 1) { status } } } }
  }
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}, limit: 100) {
    ... on Runs { results { jobName status } }
  }
}"""


class RunningDagster:
    """A Dagster webserver at `url`, for example `http://127.0.0.1:3000`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = Client(transport=RequestsHTTPTransport(url=f"{self.url}/graphql", timeout=60, retries=3))
        self._location = self._find_location()

    def add_partition(self, partitions: str, key: str) -> None:
        """Make `key` a partition of the dynamic set `partitions`; already there is fine."""
        self._ask(_ADD_PARTITION, {"repository": self._selector(), "set": partitions, "key": key})

    def launch(self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Launch `job` and give its run id. Raises Broken with Dagster's reason when it refuses."""
        params = {
            "selector": {**self._selector(), "jobName": job},
            "runConfigData": dict(run_config),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        answer = self._ask(_LAUNCH, {"params": params})["launchPipelineExecution"]
        if answer["__typename"] != "LaunchRunSuccess":
            reason = answer.get("message") or "; ".join(error["message"] for error in answer.get("errors", []))
            raise Broken("dagster_refused", f"Dagster refused to launch {job}: {reason or answer['__typename']}.")
        return str(answer["run"]["runId"])

    def follow(self, runs: Sequence[str], *, interval_seconds: float = 0.5) -> Iterator[dict[str, str]]:
        """The status of each run, again and again, until all have finished."""
        while True:
            statuses = {run: str(self._ask(_STATUS, {"run": run})["runOrError"]["status"]) for run in runs}
            yield statuses
            if all(status in FINISHED for status in statuses.values()):
                return
            time.sleep(interval_seconds)

    def at_work(self) -> list[str]:
        """What isn't done at this moment, each in a few words: ticks of sensors, and runs whoever launched them.

        A tick that may yet launch a run counts, so nothing at work means that nothing is about to begin either.
        """
        answer = self._ask(_AT_WORK, {"repository": self._selector()})
        sensors, runs = answer["sensorsOrError"]["results"], answer["runsOrError"]["results"]
        ticking = [
            each["name"] for each in sensors if any(t["status"] == "STARTED" for t in each["sensorState"]["ticks"])
        ]
        return [f"sensor {name}" for name in ticking] + [
            f"run of {each['jobName']} ({each['status']})" for each in runs
        ]

    def run_url(self, run: str) -> str:
        """Where people look at a run."""
        return f"{self.url}/runs/{run}"

    def _selector(self) -> dict[str, str]:
        return {"repositoryName": REPOSITORY, "repositoryLocationName": self._location}

    def _find_location(self) -> str:
        nodes = self._ask(_LOCATIONS, {})["repositoriesOrError"].get("nodes", [])
        for node in nodes:
            if node["name"] == REPOSITORY:
                return str(node["location"]["name"])
        raise Broken(
            "no_code_location",
            f"Dagster at {self.url} has not loaded our definitions.",
            next_step="See the code server's log, or run `dagster definitions validate`.",
        )

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(self._client.execute(GraphQLRequest(query, variable_values=dict(variables))))
        except (TransportError, OSError) as error:
            raise Misuse(
                "dagster_unreachable",
                f"No Dagster answers at {self.url} ({type(error).__name__}).",
                next_step="Start it with `gtmc up`.",
            ) from error
