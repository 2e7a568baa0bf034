"""The imitated Microsoft 365 keeps to Graph's contract: spellings, links, delta, batches, limits, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.sandbox.world import World

pytestmark = pytest.mark.services

PREFER = 'IdType="ImmutableId", odata.maxpagesize=7'
METADATA = frozenset(
    """@odata.etag id createdDateTime lastModifiedDateTime changeKey categories receivedDateTime sentDateTime
    hasAttachments internetMessageId subject importance parentFolderId conversationId conversationIndex
    isDeliveryReceiptRequested isReadReceiptRequested isRead isDraft webLink inferenceClassification sender from
    toRecipients ccRecipients bccRecipients replyTo flag""".split()  # noqa: SIM905
)


class Graph:
    """Plain HTTP against the imitated Graph, as org acme."""

    def __init__(self, announcement: dict[str, Any]) -> None:
        self.announcement = announcement
        self.vendor = announcement["vendors"]["o365"]
        self.org = self.vendor["credentials"]["orgs"]["acme"]
        self.root: str = self.vendor["http"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {self.org['access_token']}"

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        url = path if path.startswith("http") else f"{self.root}/v1.0/{path}"
        answer = self.http.get(url, headers=headers, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()

    def control(self, method: str, page: str, body: Any = None) -> Any:
        return requests.request(method, f"{self.root}/_sandbox/{page}", json=body, timeout=30).json()

    def users(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("users?$top=999&$select=id,mail,userPrincipalName,accountEnabled")[
            "value"
        ]
        return found

    def delta(self, link: str) -> tuple[list[dict[str, Any]], str]:
        """All items of a round and its delta link."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.get(link, Prefer=PREFER)
            items += page["value"]
            assert len(page["value"]) <= 7
            if "@odata.deltaLink" in page:
                assert "@odata.nextLink" not in page
                return items, page["@odata.deltaLink"]
            link = page["@odata.nextLink"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Graph]:
    with running(SandboxOptions(vendors=("o365",))) as announcement:
        client = Graph(announcement)
        yield client
        client.http.close()


@pytest.fixture
def graph(shared: Graph) -> Graph:
    shared.control("POST", "reset")
    return shared


def test_users_come_by_pages_with_what_was_selected(graph: Graph) -> None:
    page = graph.get("users?$top=4&$select=id,mail")
    users = list(page["value"])
    while "@odata.nextLink" in page:
        assert page["@odata.nextLink"].startswith(graph.root)
        page = graph.get(page["@odata.nextLink"])
        users += page["value"]
    assert len(users) == 9
    assert {name for user in users for name in user} == {"id", "mail"}
    default = graph.get("users?$top=1")["value"][0]
    assert "accountEnabled" not in default
    assert graph.get(f"users/{default['userPrincipalName']}")["id"] == default["id"]
    assert graph.get("users?$top=1000", 400)["error"]["code"] == "BadRequest"


def test_the_same_people_write_mails_as_are_in_the_world(graph: Graph) -> None:
    world = World(7, "acme")
    known = {world.person(number).email for number in range(4_000)}
    outside = {
        party["emailAddress"]["address"].lower()
        for each in _truth(graph)
        for party in [each["from"], *each["toRecipients"], *each["ccRecipients"]]
        if party["emailAddress"]["address"].split("@")[1] not in ("acme.example",) and "letters" not in str(party)
    }
    assert outside
    assert outside <= known


def test_a_message_has_all_its_metadata_and_never_a_body(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    page = graph.get(f"users/{key}/messages?$top=3")
    assert all(set(message) == METADATA for message in page["value"])
    selected = graph.get(f"users/{key}/messages?$top=1&$select=subject,body")["value"][0]
    assert set(selected) == {"@odata.etag", "id", "subject"}
    assert graph.get(f"users/{key}/messages?$select=nonsense", 400)["error"]["code"] == "BadRequest"
    graph.control("POST", "knobs", {"fault": "withheld_refused"})
    assert graph.get(f"users/{key}/messages?$select=body", 403)["error"]["code"] == "ErrorAccessDenied"


@pytest.mark.parametrize(
    "spelling", ["users/{}/mailFolders/inbox/messages/delta", "users('{}')/mailFolders('inbox')/messages/delta()"]
)
def test_both_spellings_of_delta_give_the_same(graph: Graph, spelling: str) -> None:
    key = graph.users()[0]["id"]
    items, link = graph.delta(f"{spelling.format(key)}?$select=id,from")
    assert len(items) == graph.get(f"users/{key}/mailFolders/inbox")["totalItemCount"]
    assert {name for item in items for name in item} == {"@odata.etag", "@odata.type", "id", "from"}
    assert link.startswith(f"{graph.root}/v1.0/users('{key}')/mailFolders('inbox')/messages/delta?$deltatoken=")
    assert graph.delta(link)[0] == []


def test_links_are_of_the_requests_own_scheme_and_host(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    port = graph.vendor["https"].rpartition(":")[2]
    answer = graph.http.get(
        f"https://localhost:{port}/v1.0/users/{key}/messages", verify=graph.announcement["ca_file"], timeout=30
    )
    assert answer.json()["@odata.nextLink"].startswith(f"https://localhost:{port}/v1.0/users('{key}')/messages?")


def test_a_round_tells_what_came_changed_moved_and_went(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    items, link = graph.delta(f"users/{key}/mailFolders/inbox/messages/delta")
    _, archive = graph.delta(f"users/{key}/mailFolders/archive/messages/delta")
    read, moved, gone = (item["id"] for item in items[:3])
    (made,) = graph.control(
        "POST", "mutate", {"org": "acme", "object": "Message", "action": "create", "fields": {"mailbox": key}}
    )["ids"]
    for action, message, fields in (
        ("update", read, {}),
        ("update", moved, {"folder": "archive"}),
        ("delete", gone, {}),
    ):
        graph.control(
            "POST", "mutate", {"org": "acme", "object": "Message", "action": action, "ids": [message], "fields": fields}
        )
    changes, following = graph.delta(link)
    by_id = {item["id"]: item for item in changes}
    assert set(by_id) == {made, read, moved, gone}
    assert by_id[moved] == {"@odata.type": "#microsoft.graph.message", "id": moved, "@removed": {"reason": "changed"}}
    assert by_id[gone]["@removed"] == {"reason": "deleted"}
    assert by_id[read]["isRead"] is True
    assert [item["id"] for item in graph.delta(archive)[0]] == [moved]
    assert graph.delta(following)[0] == []
    assert graph.get(f"users/{key}/messages/{moved}", Prefer=PREFER)["id"] == moved
    assert graph.get(f"users/{key}/messages/{gone}", 404)["error"]["code"] == "ErrorItemNotFound"


def test_of_a_mail_that_was_only_marked_as_read_a_round_may_tell_three_members_whatever_was_selected(
    graph: Graph,
) -> None:
    key = graph.users()[0]["id"]
    items, link = graph.delta(f"users/{key}/mailFolders/inbox/messages/delta?$select=id,sender,toRecipients")
    wish = {"org": "acme", "object": "Message", "action": "update", "ids": [item["id"] for item in items[:4]]}
    graph.control("POST", "mutate", wish)
    told = [set(item) - {"@odata.type", "@odata.etag"} for item in graph.delta(link)[0]]
    assert (
        sorted(map(sorted, told)) == [["id", "isRead", "parentFolderId"]] * 2 + [["id", "sender", "toRecipients"]] * 2
    )
    fields = {"mailbox": key}
    (made,) = graph.control("POST", "mutate", {**wish, "action": "create", "ids": [], "fields": fields})["ids"]
    graph.control("POST", "mutate", {**wish, "ids": [made]})
    new = {item["id"]: item for item in graph.delta(link)[0]}[made]
    assert "sender" in new


def test_an_immutable_id_survives_a_move_and_an_ordinary_one_does_not(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    ordinary = graph.get(f"users/{key}/mailFolders/inbox/messages?$top=1")["value"][0]["id"]
    immutable = graph.get(f"users/{key}/mailFolders/inbox/messages?$top=1", Prefer=PREFER)["value"][0]["id"]
    assert ordinary != immutable
    wish = {"org": "acme", "object": "Message", "action": "update", "ids": [immutable], "fields": {"folder": "archive"}}
    graph.control("POST", "mutate", wish)
    graph.get(f"users/{key}/messages/{ordinary}", 404)
    graph.get(f"users/{key}/messages/{immutable}")


def test_a_filtered_round_starts_at_its_time_and_ends_at_its_cap(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    newest = graph.get(f"users/{key}/mailFolders/inbox/messages?$top=12")["value"]
    since = newest[9]["receivedDateTime"]
    link = f"users/{key}/mailFolders/inbox/messages/delta?$filter=receivedDateTime ge {since}"
    assert len(graph.delta(link)[0]) == 10
    graph.control("POST", "knobs", {"fault": "delta_cap", "items": 8})
    assert len(graph.delta(link)[0]) == 8
    for bad in (
        "$filter=isRead eq true",
        "$orderby=subject",
        "$search=x",
        "$filter=receivedDateTime le 2026-01-01T00:00:00Z",
    ):
        graph.get(f"users/{key}/mailFolders/inbox/messages/delta?{bad}", 400)
    assert graph.get(f"users/{key}/messages?$orderby=subject", 400)["error"]["code"] == "InefficientFilter"


def test_a_lost_state_is_410_with_the_wished_code(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    _, link = graph.delta(f"users/{key}/mailFolders/inbox/messages/delta")
    graph.control("POST", "knobs", {"fault": "sync_state_lost", "code": "resyncRequired", "count": 1})
    error = graph.get(link, 410)["error"]
    assert error["code"] == "resyncRequired"
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    graph.delta(link)


def test_who_has_no_mailbox_or_no_token_is_told_so(graph: Graph) -> None:
    without = next(user["id"] for user in graph.users() if user["mail"] is None)
    assert graph.get(f"users/{without}/messages", 404)["error"]["code"] == "MailboxNotEnabledForRESTAPI"
    assert graph.get("users/nobody/messages", 404)["error"]["code"] == "Request_ResourceNotFound"
    assert graph.get("users", 401, Authorization="Bearer x")["error"]["code"] == "InvalidAuthenticationToken"
    assert graph.get("nothing", 400)["error"]["code"] == "BadRequest"


def test_answers_carry_request_ids_and_what_was_preferred(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    answer = graph.http.get(
        f"{graph.root}/v1.0/users/{key}/messages", headers={"client-request-id": "mine", "Prefer": PREFER}, timeout=30
    )
    assert answer.headers["client-request-id"] == "mine"
    assert answer.headers["request-id"]
    assert answer.headers["Preference-Applied"] == PREFER
    assert len(answer.json()["value"]) == 7


def test_a_fifth_request_of_a_mailbox_at_the_same_time_is_throttled(graph: Graph) -> None:
    first, second = (user["id"] for user in graph.users()[:2])
    graph.control("POST", "knobs", {"fault": "slow", "bytes_per_second": 8000, "path": first})
    with ThreadPoolExecutor(9) as pool:
        asked = [
            pool.submit(graph.http.get, f"{graph.root}/v1.0/users/{first}/messages?$top=3", timeout=60)
            for _ in range(8)
        ]
        other = pool.submit(graph.http.get, f"{graph.root}/v1.0/users/{second}/messages?$top=1", timeout=60)
        statuses = [each.result() for each in asked]
        assert other.result().status_code == 200
    throttled = [answer for answer in statuses if answer.status_code == 429]
    assert throttled
    assert throttled[0].headers["Retry-After"] == "1"
    assert throttled[0].json()["error"]["code"] == "ApplicationThrottled"


def test_a_batch_answers_each_part_for_itself(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    parts = [
        {"id": "1", "method": "GET", "url": f"/users/{key}/messages?$top=2"},
        {"id": "2", "method": "GET", "url": "/users/nobody"},
        {"id": "3", "method": "GET", "url": f"/users/{key}", "dependsOn": ["2"]},
        {"id": "4", "method": "GET", "url": f"/users/{key}", "dependsOn": ["1"]},
    ]
    answer = graph.http.post(f"{graph.root}/v1.0/$batch", json={"requests": parts}, timeout=30).json()
    found = {part["id"]: part for part in answer["responses"]}
    assert {key: part["status"] for key, part in found.items()} == {"1": 200, "2": 404, "3": 424, "4": 200}
    assert len(found["1"]["body"]["value"]) == 2
    for bad in ([parts[0], parts[0]], [{"id": str(n), "method": "GET", "url": "/users"} for n in range(21)]):
        assert graph.http.post(f"{graph.root}/v1.0/$batch", json={"requests": bad}, timeout=30).status_code == 400


def test_the_calendar_view_wants_its_window_and_tells_times_without_offset(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    graph.get(f"users/{key}/calendarView", 400)
    window = "startDateTime=2000-01-01T00:00:00&endDateTime=2100-01-01T00:00:00Z"
    page = graph.get(f"users/{key}/calendarView?{window}&$top=20")
    events = page["value"] + graph.get(page["@odata.nextLink"])["value"]
    assert len(events) == 25
    assert all(len(event["start"]["dateTime"]) == 27 and "Z" not in event["start"]["dateTime"] for event in events)
    graph.get(f"users/{key}/calendarView?{window}&$select=createdDateTime", 400)


def test_the_login_host_answers_in_its_own_words(graph: Graph) -> None:
    given, directory = graph.vendor["credentials"], graph.org["directory_id"]
    document = graph.get(f"{graph.root}/{directory}/v2.0/.well-known/openid-configuration")
    assert {"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"} <= set(document)
    form = {
        "grant_type": "client_credentials",
        "client_id": given["client_id"],
        "client_secret": given["client_secret"],
        "scope": "https://graph.microsoft.com/.default",
    }
    token = requests.post(document["token_endpoint"], data=form, timeout=30).json()
    assert set(token) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    graph.get("users", Authorization=f"Bearer {token['access_token']}")
    wrong = (({"client_secret": "x"}, 401, 7000215), ({"client_id": "x"}, 400, 700016), ({"scope": "x"}, 400, 70011))
    for change, status, number in wrong:
        answer = requests.post(document["token_endpoint"], data=form | change, timeout=30)
        assert (answer.status_code, answer.json()["error_codes"]) == (status, [number])
    unknown = requests.post(f"{graph.root}/nowhere/oauth2/v2.0/token", data=form, timeout=30).json()
    assert (unknown["error"], unknown["error_codes"]) == ("invalid_tenant", [90002])


def test_leaked_content_and_record_faults_are_on_demand(graph: Graph) -> None:
    key = graph.users()[0]["id"]
    graph.control("POST", "knobs", {"fault": "leak_body", "fields": ["subject", "body"], "count": 1})
    page = graph.get(f"users/{key}/mailFolders/inbox/messages/delta?$select=id")
    assert all({"subject", "body"} <= set(item) for item in page["value"])
    assert all(set(item) == {"@odata.etag", "@odata.type", "id"} for item in graph.delta(page["@odata.nextLink"])[0])


def test_what_changed_is_there_again_after_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(vendors=("o365",), state_dir=tmp_path, sizes={"mailboxes": 2, "mailbox_messages": 9})
    with running(options) as announcement:
        graph = Graph(announcement)
        key = graph.users()[0]["id"]
        _, link = graph.delta(f"users/{key}/mailFolders/inbox/messages/delta")
        graph.control(
            "POST", "mutate", {"org": "acme", "object": "Message", "action": "create", "fields": {"mailbox": 0}}
        )
        graph.control("POST", "mutate", {"org": "acme", "object": "Message", "action": "delete", "count": 2})
        truth = _truth(graph)
        graph.http.close()
    with running(options) as announcement:
        graph = Graph(announcement)
        assert _truth(graph) == truth
        assert graph.delta(f"{graph.root}{link[link.index('/v1.0') :]}")[0]
        graph.http.close()
    with pytest.raises(SandboxMisuse), running(SandboxOptions(vendors=("o365",), state_dir=tmp_path)):
        pass


def test_a_hundred_thousand_mails_start_at_once_and_page(tmp_path: Path) -> None:
    options = SandboxOptions(vendors=("o365",), tenants=("acme",), sizes={"mailboxes": 1, "mailbox_messages": 100_000})
    with running(options) as announcement:
        graph = Graph(announcement)
        key = graph.users()[0]["id"]
        page = graph.get(f"users/{key}/mailFolders/inbox/messages/delta?$select=id", Prefer="odata.maxpagesize=200")
        assert len(page["value"]) == 200
        graph.http.close()


def test_mutations_that_make_no_sense_are_refused_in_a_sentence(graph: Graph) -> None:
    for wish in (
        {"object": "Event", "action": "update"},
        {"object": "Message", "action": "create", "fields": {"subject": "x"}},
        {"object": "Message", "action": "update", "fields": {"folder": "nowhere"}},
        {"object": "Message", "action": "delete", "ids": ["x"]},
        {"object": "User", "action": "create"},
    ):
        assert "error" in graph.control("POST", "mutate", {"org": "acme", **wish})


def _truth(graph: Graph) -> list[dict[str, Any]]:
    text = requests.get(f"{graph.root}/_sandbox/truth?org=acme&object=Message&format=ndjson", timeout=30).text
    return [json.loads(line) for line in text.splitlines()]
