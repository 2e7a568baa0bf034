"""What /_sandbox/docs says about the imitated Fathom."""

from __future__ import annotations

DOCS = """\
### Endpoints

Below `/external/v1`, with `X-Api-Key` (an account's key) or `Authorization: Bearer` (a token of an OAuth app):

- `GET /meetings`: `cursor`, `created_after`, `created_before` (both included), `recorded_by[]`, `teams[]`,
  `calendar_invitees_domains[]`, `calendar_invitees_domains_type`, `meeting_type`, `include_transcript`,
  `include_summary`, `include_action_items`, `include_crm_matches`, `include_highlights`. Ten a page, newest first;
  the cursor is a page number in base64, so that a meeting made inside the window shifts the pages. OAuth apps get
  400 for `include_transcript` and `include_summary`.
- `GET /recordings/{id}/transcript`, `GET /recordings/{id}/summary`, both with `destination_url` (POSTed only to
  addresses of this machine).
- `GET /teams`, `/team_members?team=`, `/users`, `/meeting_types`; `POST /webhooks`, `DELETE /webhooks/{id}`
  (nothing is sent).
- `GET /oauth2/authorize` (approves at once for `login_hint`), `POST /oauth2/token` (refresh tokens work once).
- `GET /v1/user`, `GET /v1/meetings` with the key as bearer: what the product's own pages describe.

Recording downloads are not imitated. Error bodies are plain text: the vendor doesn't document any.

Limits are 6,000 requests in 60 seconds, a hundred times the vendor's, so that nobody has to wait here; the knob
`rate_window` sets the true ones. `RateLimit-Limit`, `-Remaining`, `-Reset` (seconds left) are on every answer.

### Mutations

`object` is `meetings`, ids are recording ids; `stamp` is the time of creation of a made one. `fields`: `title`,
`meeting_title`, `meeting_type`, `calendar_invitees`, `transcript`, `summary` (Markdown), `transcript_ready` and
`summary_ready` (false: null until set true), `transcript_bytes`. `delete` and `purge` let a meeting vanish: Fathom
has no feed of deletions.

The size `transcript_bytes` is how much is said in a meeting, in characters.

### State

`--state-dir` keeps changed and made meetings and OAuth tokens.
"""
