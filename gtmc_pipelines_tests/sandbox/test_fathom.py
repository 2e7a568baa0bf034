"""The imitated Fathom keeps to the documented contract, as strictly as the official SDK reads it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import requests

from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.sandbox.world import World

Strict = msgspec.Struct
EVERYTHING = {
    f"include_{name}": "true" for name in ("transcript", "summary", "action_items", "crm_matches", "highlights")
}


class Speaker(Strict, forbid_unknown_fields=True):
    display_name: str
    matched_calendar_invitee_email: str | None = None


class Utterance(Strict, forbid_unknown_fields=True):
    speaker: Speaker
    text: str
    timestamp: str


class Invitee(Strict, forbid_unknown_fields=True):
    name: str | None
    email: str | None
    email_domain: str | None
    is_external: bool
    matched_speaker_display_name: str | None = None


class Owner(Strict, forbid_unknown_fields=True):
    name: str
    email: str
    email_domain: str
    team: str | None


class Summary(Strict, forbid_unknown_fields=True):
    template_name: str | None
    markdown_formatted: str | None


class Assignee(Strict, forbid_unknown_fields=True):
    name: str | None
    email: str | None
    team: str | None


class ActionItem(Strict, forbid_unknown_fields=True):
    description: str
    user_generated: bool
    completed: bool
    recording_timestamp: str
    recording_playback_url: str
    assignee: Assignee


class Meeting(Strict, forbid_unknown_fields=True):
    """Required keys and types as the SDK (fathom-python 0.0.43) has them: one missing key fails the page."""

    title: str
    meeting_title: str | None
    meeting_type: str | None
    recording_id: int
    url: str
    share_url: str
    created_at: datetime
    scheduled_start_time: datetime
    scheduled_end_time: datetime
    recording_start_time: datetime
    recording_end_time: datetime
    calendar_invitees_domains_type: Literal["only_internal", "one_or_more_external"]
    shared_with: Literal["no_teams", "single_team", "multiple_teams", "all_teams"]
    transcript_language: str
    calendar_invitees: list[Invitee]
    recorded_by: Owner
    meeting_url: str | None = None
    transcript: list[Utterance] | None = None
    default_summary: Summary | None = None
    action_items: list[ActionItem] | None = None
    highlights: list[dict[str, Any]] | None = None
    crm_matches: dict[str, Any] | None = None


class MeetingPage(Strict, forbid_unknown_fields=True):
    limit: int
    next_cursor: str | None
    items: list[Meeting]


class Client:
    """Plain HTTP against the imitated Fathom, as account acme."""

    def __init__(self, announcement: dict[str, Any]) -> None:
        vendor = announcement["vendors"]["fathom"]
        self.root: str = vendor["http"]
        self.credentials: dict[str, Any] = vendor["credentials"]
        self.keys: dict[str, str] = self.credentials["orgs"]["acme"]
        self.http = requests.Session()
        self.http.headers["X-Api-Key"] = self.keys["api_key"]

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return self.http.get(f"{self.root}/external/v1/{path}", params=parameters, timeout=30)

    def as_app(self, path: str, token: str, **parameters: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.root}/external/v1/{path}", params=parameters, headers=headers, timeout=30)

    def walk(self, **parameters: Any) -> list[Meeting]:
        found: list[Meeting] = []
        cursor: str | None = ""
        while cursor is not None:
            asked = {**parameters, "cursor": cursor} if cursor else parameters
            page = msgspec.json.decode(self.get("meetings", **asked).content, type=MeetingPage)
            assert page.limit == 10
            assert len(page.items) <= 10
            found, cursor = [*found, *page.items], page.next_cursor
        return found

    def control(self, method: str, page: str, body: Any = None) -> Any:
        return requests.request(method, f"{self.root}/_sandbox/{page}", json=body, timeout=30).json()

    def mutate(self, action: str, **wish: Any) -> list[str]:
        answer = self.control("POST", "mutate", {"org": "acme", "object": "meetings", "action": action, **wish})
        ids: list[str] = answer["ids"]
        return ids

    def knob(self, fault: str, **wish: Any) -> None:
        assert "knobs" in self.control("POST", "knobs", {"fault": fault, **wish})


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with running(SandboxOptions(vendors=("fathom",))) as announcement:
        client = Client(announcement)
        yield client
        client.http.close()


@pytest.fixture
def fathom(served: Client) -> Client:
    served.control("POST", "reset")
    return served


def test_every_meeting_satisfies_the_strict_contract(fathom: Client) -> None:
    meetings = fathom.walk(**EVERYTHING)
    assert len(meetings) == 25
    assert all(one.transcript and one.default_summary and one.action_items for one in meetings)
    bare = fathom.walk()
    assert {one.transcript for one in bare} == {None}
    assert [one.recording_id for one in bare] == [one.recording_id for one in meetings]


def test_meetings_come_newest_first_ten_a_page_under_a_page_number(fathom: Client) -> None:
    first = fathom.get("meetings").json()
    assert json.loads(base64.b64decode(first["next_cursor"])) == {"page_num": 2}
    meetings = fathom.walk()
    assert [one.created_at for one in meetings] == sorted((one.created_at for one in meetings), reverse=True)


def test_the_worlds_people_take_part(fathom: Client) -> None:
    world = World(7, "acme")
    emails = {world.person(number).email for number in range(300)}
    external = [one for meeting in fathom.walk() for one in meeting.calendar_invitees if one.is_external and one.email]
    assert external
    assert {one.email for one in external} <= emails
    for meeting in fathom.walk():
        is_external = any(one.is_external for one in meeting.calendar_invitees)
        assert meeting.calendar_invitees_domains_type == ("one_or_more_external" if is_external else "only_internal")


def test_a_meeting_made_during_a_walk_shifts_open_windows_and_not_closed_ones(fathom: Client) -> None:
    first = fathom.get("meetings").json()
    closed = {"created_before": first["items"][0]["created_at"]}
    fathom.mutate("create")
    shifted = fathom.get("meetings", cursor=first["next_cursor"]).json()
    assert shifted["items"][0]["recording_id"] == first["items"][-1]["recording_id"]
    still = fathom.get("meetings", cursor=first["next_cursor"], **closed).json()
    assert still["items"][0]["recording_id"] != first["items"][-1]["recording_id"]


def test_filters_are_any_of_and_bounds_are_kept(fathom: Client) -> None:
    everything = fathom.walk()
    middle = everything[12]
    assert fathom.walk(created_after=middle.created_at.isoformat()) == everything[:13]
    assert fathom.walk(created_before=middle.created_at.isoformat()) == everything[12:]
    recorder = {"recorded_by[]": [everything[0].recorded_by.email, "nobody@acme.example"]}
    assert fathom.walk(**recorder) == [one for one in everything if one.recorded_by == everything[0].recorded_by]
    teams = fathom.walk(**{"teams[]": ["Sales", "Marketing"]})
    assert teams == [one for one in everything if one.recorded_by.team in {"Sales", "Marketing"}]
    internal = fathom.walk(calendar_invitees_domains_type="only_internal")
    assert {one.calendar_invitees_domains_type for one in internal} <= {"only_internal"}
    domain = next(one.email_domain for m in everything for one in m.calendar_invitees if one.is_external and one.email)
    assert fathom.walk(**{"calendar_invitees_domains[]": domain})


@pytest.mark.parametrize(
    "parameters",
    [
        {"cursor": "nonsense"},
        {"cursor": base64.b64encode(b'{"page_num":0}').decode()},
        {"created_after": "yesterday"},
        {"created_after": "2026-01-01T00:00:00"},
        {"include_transcript": "maybe"},
        {"calendar_invitees_domains_type": "some"},
    ],
)
def test_malformed_parameters_are_refused(fathom: Client, parameters: dict[str, str]) -> None:
    assert fathom.get("meetings", **parameters).status_code == 400


def test_oauth_apps_may_not_use_the_include_flags(fathom: Client) -> None:
    token = fathom.keys["oauth_access_token"]
    assert fathom.as_app("meetings", token).status_code == 200
    for flag in ("include_transcript", "include_summary"):
        assert fathom.as_app("meetings", token, **{flag: "true"}).status_code == 400
    newest = fathom.walk(**EVERYTHING)[0]
    said = fathom.as_app(f"recordings/{newest.recording_id}/transcript", token).json()
    assert msgspec.convert(said["transcript"], list[Utterance]) == newest.transcript
    summary = fathom.as_app(f"recordings/{newest.recording_id}/summary", token).json()
    assert msgspec.convert(summary["summary"], Summary) == newest.default_summary


def test_a_key_is_no_bearer_token_and_the_other_way_round(fathom: Client) -> None:
    assert fathom.as_app("teams", fathom.keys["api_key"]).status_code == 401
    headers = {"X-Api-Key": fathom.keys["oauth_access_token"]}
    assert requests.get(f"{fathom.root}/external/v1/teams", headers=headers, timeout=30).status_code == 401
    assert requests.get(f"{fathom.root}/external/v1/teams", timeout=30).status_code == 401


def test_a_refresh_token_works_once(fathom: Client) -> None:
    app = {name: fathom.credentials[name] for name in ("client_id", "client_secret")}
    form = {**app, "grant_type": "refresh_token", "refresh_token": fathom.keys["oauth_refresh_token"]}
    url = f"{fathom.root}/external/v1/oauth2/token"
    fresh = requests.post(url, data=form, timeout=30).json()
    assert set(fresh) >= {"access_token", "refresh_token", "expires_in"}
    assert fathom.as_app("teams", fresh["access_token"]).status_code == 200
    assert fathom.as_app("teams", fathom.keys["oauth_access_token"]).status_code == 401
    assert requests.post(url, data=form, timeout=30).status_code == 400


def test_a_code_is_good_once(fathom: Client) -> None:
    app = {name: fathom.credentials[name] for name in ("client_id", "client_secret")}
    asked = {
        "client_id": app["client_id"],
        "redirect_uri": "https://app.example/cb",
        "state": "s",
        "login_hint": "acme",
    }
    url = f"{fathom.root}/external/v1/oauth2"
    back = requests.get(f"{url}/authorize", params=asked, allow_redirects=False, timeout=30)
    code = back.headers["location"].partition("code=")[2].partition("&")[0]
    form = {**app, "grant_type": "authorization_code", "code": code, "redirect_uri": "https://app.example/cb"}
    assert requests.post(f"{url}/token", data=form, timeout=30).status_code == 200
    assert requests.post(f"{url}/token", data=form, timeout=30).status_code == 400


def test_destination_url_posts_the_data_there(fathom: Client) -> None:
    arrived: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/in"
    newest = fathom.walk(**EVERYTHING)[0]
    answer = fathom.get(f"recordings/{newest.recording_id}/transcript", destination_url=url).json()
    thread.join(timeout=10)
    server.server_close()
    assert answer == {"destination_url": url}
    assert msgspec.convert(arrived[0]["transcript"], list[Utterance]) == newest.transcript


def test_teams_members_users_and_types_are_lists_like_the_others(fathom: Client) -> None:
    for path, keys in {
        "teams": {"name", "created_at"},
        "team_members": {"name", "email", "created_at"},
        "users": {"name", "email", "created_at", "status"},
        "meeting_types": {"name", "status", "created_at"},
    }.items():
        page = fathom.get(path).json()
        assert set(page) == {"limit", "next_cursor", "items"}
        assert {frozenset(item) for item in page["items"]} == {frozenset(keys)}
    of_team = fathom.get("team_members", team="Sales").json()["items"]
    assert 0 < len(of_team) < len(fathom.get("team_members").json()["items"])


def test_webhooks_are_registered_and_forgotten(fathom: Client) -> None:
    url = f"{fathom.root}/external/v1/webhooks"
    wish = {"destination_url": "https://x.example/h", "triggered_for": ["my_recordings"], "include_summary": True}
    made = fathom.http.post(url, json=wish, timeout=30)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert fathom.http.post(url, json={**wish, "extra": 1}, timeout=30).status_code == 400
    assert fathom.http.post(url, json={**wish, "include_summary": False}, timeout=30).status_code == 400
    assert fathom.http.delete(f"{url}/{made.json()['id']}", timeout=30).status_code == 204
    assert fathom.http.delete(f"{url}/{made.json()['id']}", timeout=30).status_code == 404


def test_limits_are_counted_down_and_heavy_calls_have_their_own(fathom: Client) -> None:
    fathom.knob("rate_window", limit=4, heavy_limit=2, seconds=60)
    left = [fathom.get("meetings", include_transcript="true").headers for _ in range(2)]
    assert [(one["RateLimit-Limit"], one["RateLimit-Remaining"]) for one in left] == [("2", "1"), ("2", "0")]
    assert 1 <= int(left[0]["RateLimit-Reset"]) <= 61
    refused = fathom.get("meetings", include_transcript="true")
    assert (refused.status_code, refused.headers["RateLimit-Remaining"]) == (429, "0")
    assert "Retry-After" not in refused.headers
    assert fathom.get("teams").status_code == 200


def test_what_is_not_there_is_not_found(fathom: Client) -> None:
    (gone,) = fathom.mutate("delete")
    for path in (f"recordings/{gone}/transcript", "recordings/1/summary", "recordings/x/summary", "nowhere"):
        assert fathom.get(path).status_code == 404
    assert fathom.mutate("undelete") == [gone]
    assert fathom.get(f"recordings/{gone}/transcript").status_code == 200


def test_changes_and_tokens_survive_a_restart_and_the_seed_decides_the_rest(tmp_path: Path) -> None:
    options = SandboxOptions(vendors=("fathom",), state_dir=tmp_path, tenants=("acme",))
    with running(options) as announcement:
        client = Client(announcement)
        client.mutate("create", fields={"title": "Made"}, stamp="2026-10-01T10:00:00Z")
        client.mutate("update", fields={"summary_ready": False})
        before = client.walk(**EVERYTHING)
        client.http.close()
    with running(options) as announcement:
        client = Client(announcement)
        assert client.walk(**EVERYTHING) == before
        client.control("POST", "reset")
        assert len(client.walk()) == 25
        client.http.close()
    other = SandboxOptions(vendors=("fathom",), state_dir=tmp_path, tenants=("acme",), sizes={"meetings": 30})
    with pytest.raises(SandboxMisuse), running(other):
        pass


def test_sizes_are_what_was_asked_for() -> None:
    sizes = {"meetings": 7, "transcript_bytes": 60_000}
    with running(SandboxOptions(vendors=("fathom",), tenants=("acme",), sizes=sizes)) as announcement:
        client = Client(announcement)
        meetings = client.walk(include_transcript="true")
        client.http.close()
    assert len(meetings) == 7
    assert all(60_000 <= sum(len(said.text) for said in one.transcript or ()) < 61_000 for one in meetings)


@pytest.mark.parametrize("fields", [{"recording_id": 7}, {"title": 7}, {"transcript": "text"}])
def test_fields_that_can_not_be_set_are_named(fathom: Client, fields: dict[str, Any]) -> None:
    wish = {"org": "acme", "object": "meetings", "action": "update", "fields": fields}
    assert next(iter(fields)) in fathom.control("POST", "mutate", wish)["error"]
