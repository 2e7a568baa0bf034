"""What /_sandbox/docs says about the imitated Customer.io."""

from __future__ import annotations

DOCS = """\
### Endpoints

The App API of the US region at the root (`/v1/…`, as `https://api.customer.io/v1`), that of the EU region below
`/eu` (`/eu/v1/…`, as `https://api-eu.customer.io/v1`). `Authorization: Bearer <App API key>`; each workspace has one
key for either region, and a key of the other region gets 401 without a hint. All requests of a workspace share a
bucket of ten a second; the eleventh gets 429 with `Retry-After: 1`. Times are unix seconds.

- `GET /v1/workspaces`: the cheap probe.
- `POST /v1/customers?start&limit` with a filter tree (default 50, at most 1,000 a page); `GET /v1/customers?email=`.
- `POST /v1/customers/attributes?id_type=`: at most 100 ids, without `cio_` prefix; unknown ones are left out. People
  come unwrapped, as they do live (knob `wrapped`: as the specification has it).
- `GET /v1/customers/{id}/attributes | segments | messages | activities | relationships | subscription_preferences`.
- `GET /v1/segments`, `/v1/segments/{id}`, `…/membership` (null arrays when empty), `…/customer_count`.
- `GET /v1/messages` (`type metric campaign_id newsletter_id action_id start_ts end_ts start limit`, at most 1,000 a
  page and six months), `/v1/messages/{id}`, `…/archived_message`, `/v1/campaigns/{id}/messages`,
  `/v1/newsletters/{id}/messages`.
- `GET /v1/activities` (`type name customer_id id_type deleted start limit`, default 10, at most 100 a page), newest
  first, no filter by time. Activities of deleted people only with `deleted=true`. The name of an `event` is in `data`
  (knob `name_on_top`: beside it).
- `POST /v1/exports/customers | deliveries`, `GET /v1/exports`, `/v1/exports/{id}`, `…/download` (the address of a CSV).
- Track host: `GET /api/v1/accounts/region` with Basic `site_id:track_key` answers for either region.
- Knob `docs_probe`: `GET /v1/accounts/region` with an App key answers too, as the product documentation has it.

### Mutations

| Object | Actions | Fields |
|---|---|---|
| `people` | create, update, delete | attributes as texts, null removes one; `email` and `id` are identifiers too |
| `messages` | create, update | `type`, `cio_id`; metrics as unix seconds (`opened`, …); by default the next one |
| `activities` | create | `type`, `name` or `data`, `cio_id` |

Ids are `cio_id` of people, ids of messages and activities. A deleted person's deliveries keep only the `cio_id`.

### State

`--state-dir` keeps changes and the moment the seeded data ends at (the start of the sandbox, first time).
"""
