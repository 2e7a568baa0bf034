"""What /_sandbox/docs says about the imitated Microsoft 365."""

from __future__ import annotations

DOCS = """\
### Endpoints

Login and Graph answer at the same root. Paths take both spellings: `/users/{id}/…` and `/users('{id}')/…`,
`delta` and `delta()`. `{id}` is a user's id or principal name.

- `GET /{directory}/v2.0/.well-known/openid-configuration`, `GET /common/discovery/instance`.
- `GET /{directory}/adminconsent` and `/{directory}/v2.0/adminconsent`: consents at once for a directory (id, domain
  or org name) in the path; with `organizations` or `common`, a page with one link per org.
- `GET /{directory}/oauth2/v2.0/authorize`: signs in at once whom `login_hint` names (a principal name or address of
  the directory), else its administrator; `response_type=code`, `scope` with `openid`, PKCE by S256.
- `POST /{directory}/oauth2/v2.0/token`: client credentials, scope ending in `/.default`; or a code, once, with the same
  directory in the path, the same redirect address and the verifier: an id token by RS256 (`/discovery/v2.0/keys`) with
  `wids`, in which the first user alone is a Global Administrator.
- `GET /v1.0/users`, `/v1.0/users/{id}`: `$select`, `$top` (1 to 999, default 100), `$skiptoken`, `$count`.
- `GET …/mailFolders`, `…/mailFolders/{folder}`, `…/messages`, `…/mailFolders/{folder}/messages`, `…/messages/{id}`:
  `$select`, `$top` (1 to 1000, default 10), `$filter` on receivedDateTime (ge gt le lt, and), `$orderby`.
- `GET …/mailFolders/{folder}/messages/delta`: `$select`, `$filter` (ge, gt), `$orderby=receivedDateTime desc`;
  with a filter a round ends after 5,000 messages.
- `GET …/calendarView?startDateTime&endDateTime`, `POST /v1.0/$batch` (20 parts).

`Prefer: IdType="ImmutableId", odata.maxpagesize=200` is understood; links are absolute, from the request's scheme and
Host. A mailbox takes 4 requests at once and 10,000 in ten minutes, then 429 `ApplicationThrottled`. Permissions are
those of Mail.ReadBasic.All: no body, preview or attachment is given.

Users: those with mailboxes, one without Exchange (404 `MailboxNotEnabledForRESTAPI`), one disabled with a mailbox,
one guest. Redirect addresses registered: `http://localhost:8400/callback`, `https://app.example/oauth/callback`
and those of `--redirect-uri`; of a localhost address the port is left out of the comparison.

### Data

Mails are seeded by number and dated back from midnight (UTC) of the day the state began: most within 28 days, one in
twenty sixty days older. Some have copies in two mailboxes, with one internetMessageId and different ids.
`/_sandbox/truth` lists live copies as `Message` (with `mailbox` and `folder` beside the API's members), `User`, and as
`AllowedDomain` the domains suggested for a tenant's allowlist.

### Mutations

`object` is Message or User. Message: `create` (fields `mailbox`: user id, principal name or number; `from`, `to`, `cc`:
addresses; `folder`), `update` (marks read or unread: every other one is then told with `id`, `isRead` and
`parentFolderId` alone, whatever was selected; with `folder` it is moved, and leaves with `reason`, default
`changed`), `delete` and `purge` (gone for good; with `"only": "direct"`, mails of one user with one person of a
suggested domain), `undelete`. User: `update` of accountEnabled, displayName, jobTitle; `delete` (out of the
directory, mailbox and all; without ids the last one with a mailbox) and `undelete`.

### State

`--state-dir` keeps tokens, withdrawn consents and touched messages (not knobs and journal).
"""
