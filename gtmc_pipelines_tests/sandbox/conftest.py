"""A sandbox in a thread for all tests of this room, reset before each test that uses it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running


class Client:
    """Plain HTTP against the imitated Salesforce, as org acme."""

    def __init__(self, announcement: dict[str, Any]) -> None:
        self.announcement = announcement
        self.vendor = announcement["vendors"]["salesforce"]
        self.base: str = self.vendor["http"]
        self.credentials: dict[str, Any] = self.vendor["credentials"]
        self.data = f"{self.base}/services/data/v60.0"
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {self.credentials['orgs']['acme']['access_token']}"

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.http.get(self.base + path if path.startswith("/services") else f"{self.data}/{path}", **kwargs)

    def query(self, soql: str, *, everything: bool = False, size: int = 2000) -> requests.Response:
        headers = {"Sforce-Query-Options": f"batchSize={size}"}
        return self.get("queryAll" if everything else "query", params={"q": soql}, headers=headers)

    def rows(self, soql: str, *, everything: bool = False, size: int = 2000) -> list[dict[str, Any]]:
        page = self.query(soql, everything=everything, size=size).json()
        rows = list(page["records"])
        while not page["done"]:
            headers = {"Sforce-Query-Options": f"batchSize={size}"}
            page = self.get(page["nextRecordsUrl"], headers=headers).json()
            rows += page["records"]
        return rows

    def control(self, method: str, page: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.base}/_sandbox/{page}", json=body, timeout=30)
        return answer.json()

    def mutate(self, action: str, **wish: Any) -> list[str]:
        answer = self.control("POST", "mutate", {"org": "acme", "object": "Contact", "action": action, **wish})
        ids: list[str] = answer["ids"]
        return ids

    def knob(self, fault: str, **wish: Any) -> None:
        assert "knobs" in self.control("POST", "knobs", {"fault": fault, **wish})

    def journal(self, **asked: Any) -> Any:
        """The journal once every request in it is answered to the last byte."""
        deadline = time.monotonic() + 10
        while True:
            journal = requests.get(f"{self.base}/_sandbox/journal", params=asked, timeout=30).json()
            if all(entry["ms"] is not None for entry in journal["entries"]) or time.monotonic() > deadline:
                return journal

    def job(self, soql: str, **wish: Any) -> requests.Response:
        return self.http.post(f"{self.data}/jobs/query", json={"operation": "query", "query": soql, **wish})

    def token(self, **form: str) -> requests.Response:
        secret = {name: self.credentials[name] for name in ("client_id", "client_secret")}
        return requests.post(f"{self.base}/services/oauth2/token", data={**secret, **form}, timeout=30)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that ask the served sandbox need a service; the marker tells so."""
    for item in items:
        if "served" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session")
def served() -> Iterator[Client]:
    with running(SandboxOptions()) as announcement:
        client = Client(announcement)
        yield client
        client.http.close()


@pytest.fixture
def salesforce(served: Client) -> Client:
    served.control("POST", "reset")
    return served
