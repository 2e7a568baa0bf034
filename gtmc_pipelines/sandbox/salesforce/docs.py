"""What /_sandbox/docs says about the imitated Salesforce."""

from __future__ import annotations

DOCS = """\
### Endpoints

All as Salesforce's own; a trailing slash is optional; versions 31.0 to 68.0 are served, older ones are 410, newer 404.

- `GET /services/oauth2/authorize`: approves at once for `login_hint` (org or username); without it, a page with one
  link per org. `code_challenge_method` defaults to S256.
- `POST /services/oauth2/token`: `authorization_code` (PKCE checked when the code was asked with a challenge) and
  `refresh_token` (rotates unless the knob `no_rotation` is on). A refresh token used twice ends its whole grant, the
  sixth grant of a user the oldest one.
- `POST /services/oauth2/revoke`, `GET /services/oauth2/userinfo`, `GET /id/{org}/{user}`.
- `GET /services/data`, `…/vNN.0`, `…/limits`, `…/sobjects`, `…/sobjects/{X}`, `…/sobjects/{X}/describe`.
- `GET …/sobjects/{X}/{id}`, `…/sobjects/{X}/deleted?start&end` (15 days back at most), `…/sobjects/{X}/updated`.
- `GET …/query?q=`, `…/queryAll?q=`, `…/query/{locator}`; header `Sforce-Query-Options: batchSize=200…2000`.
- `POST …/composite` with up to 25 GET subrequests, five of them queries: one call of the quota.
- Bulk API 2.0: `POST …/jobs/query`; `GET`, `PATCH`, `DELETE …/jobs/query/{id}`; `…/results`, `…/resultPages`.

Objects: Account, Contact, Lead, Opportunity, Task, Event; User and Organization besides. Redirect addresses
registered: `http://localhost:8400/callback`, `https://app.example/oauth/callback` and those of `--redirect-uri`; they
match letter by letter.

SOQL: `SELECT fields | COUNT() | COUNT(field) FROM X [WHERE …] [ORDER BY … [ASC|DESC] [NULLS FIRST|LAST]] [LIMIT n]
[OFFSET n]` with `= != <> < <= > >= LIKE IN NOT IN AND OR NOT ( )`, null, true, false and unquoted times; parents one
level up (`Owner.Email`, `Account.Name`). Windows on SystemModstamp and Id cost the same however large the org is.

Refused as at the vendor: URI and headers of more than 16,384 bytes together (431; 414 when the URI alone is longer),
a token shorter than 2,000 bytes counted as if it were that long; SOQL of more than 100,000 characters.

### Mutations

`object` is an object name; `fields` are its fields; ids are 15 or 18 characters. Names made of parts (`Name` of people)
follow their parts. `undelete` and `purge` without ids take from the recycle bin. Without `fields`, an update changes
one typical field to another value. An `update` with the fields `{"Hidden": true}` lets sharing hide records from the
connected user, `false` (with ids) shows them again: no stamp moves.

### State

`--state-dir` keeps grants and touched records (not knobs, journal, cursors or jobs).
"""
