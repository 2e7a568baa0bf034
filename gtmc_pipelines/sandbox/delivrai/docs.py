"""What the imitated Delivr.ai says about itself on its docs page."""

from __future__ import annotations

DOCS = """\
Two contracts at one root. Both keys of an organization are in the announcement (`api_key`, `api_secret`).
25 requests a second of an organization, 50 at once; then 429 with `X-RateLimit-Limit`, `X-RateLimit-Remaining`
and `Retry-After: 1`. Errors are `{"error":"text"}`.

**The platform's own contract** (`X-Api-Key` alone)

- `GET /v1/health`: `{"status":"ok"}`.
- `GET /v1/intent-signals?since=<ISO>&limit=100&cursor=`: `{"data":[…],"nextCursor":null}`, oldest first; `limit` up
  to 500. Extension: `until=<ISO>` (exclusive).
- `GET /v1/company-enrichment?limit=100&cursor=`: `{"data":[{"domain","name","industry","employeeCount",
  "annualRevenue","updatedAt"}],"nextCursor":null}`.

**The public API** (`X-Api-Key` and `X-Api-Secret`)

- `GET /api/v1/whoami`.
- `GET /api/v1/events`, `/api/v2/events`, `/api/v3/events/{tier}`: `pixel_id` or `project_id`; `start_ms`+`end_ms` or
  `start_time`+`end_time`, both inclusive, at most 25 hours apart; `limit`, `offset`, `select`, `include_enrichment`,
  `dry_run`. `GET /api/v1/event_counts` likewise.
- `POST /api/v1/intent/companies`, `/people` (`topic_id`, `page_size` ≤ 500, `cursor`, `dry_run`), `/company`
  (`domain`).
- `GET /api/v1/audiences/{id}/records?page_size=&cursor=` (companies), `POST /api/v1/contact/query`.
- The last page has no `next_cursor` at all; `count` comes on the first page of intent only.

Objects to mutate: `IntentSignal` (create, update; `stamp` is when it happened, so one in the past is a late signal)
and `Company` (create, update, delete, undelete; ids are domains). Seeded signals lie in the 60 days before the day the
sandbox was first started, so that a first sync of 90 days meets them all. Signal n of every organization is the same
person of the world in both contracts; companies are the world's first ones, as in the other vendors.
"""
