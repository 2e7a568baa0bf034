"""The text of /_sandbox/docs, put together from what the sandbox and the vendor say about themselves."""

from __future__ import annotations

from gtmc_pipelines.sandbox.gate import TRANSPORT_FAULTS
from gtmc_pipelines.sandbox.vendor import Vendor

_CONTROL = """\
# Sandbox: {name}

An imitation for development and tests. Data is made from the seed: the same seed gives the same records on any
machine. Nothing here is real; no address outside this machine is called.

## Control pages (every vendor port, no credentials)

- `GET /_sandbox/docs`: this text.
- `POST /_sandbox/mutate`: change records as the vendor's own users would. Body:
  `{{"org":"acme","object":"…","action":"create|update|delete|undelete|purge","count":3 or "ids":["…"],
  "fields":{{…}},"stamp":"2026-07-01T12:00:00Z"}}`; answer `{{"org","object","action","count","ids"}}`.
  A `stamp` in the past makes late records; without it the time is now.
- `GET /_sandbox/truth?org=acme`: `{{"vendor","org","objects":{{"X":{{"live","deleted","digest"}}}}}}`. The digest is
  the SHA-256 of the lines described next; `&digest=false` leaves it out.
- `GET /_sandbox/truth?org=acme&object=X`: live records with all fields, one JSON document a line, ordered by id.
  With `&offset=&limit=`: one JSON object `{{"records":[…]}}`, or lines again with `&format=ndjson`.
- `GET /_sandbox/journal?since=0&org=&path=&limit=1000&vendor=`: requests served:
  `{{"requests","records","bytes","by_status","by_vendor","last_seq","entries":[{{"seq","at","vendor","method","path",
  "query","org","status","records","bytes","ms","complete","in_flight","faults"}}]}}`. Counts cover all matching
  entries, `limit` only bounds the list; `vendor=all` for all vendors, else that of the port. The newest 100,000
  are kept.
- `DELETE /_sandbox/journal`: forget them.
- `GET`, `PUT`, `POST`, `DELETE /_sandbox/knobs`: show, replace all (`[…]` or `{{"knobs":[…]}}`), add one, clear.
- `DELETE /_sandbox/knobs/{{id}}`: switch one off.
- `POST /_sandbox/reset`: this vendor's data, grants and jobs as at the start; all knobs off, journal empty.

Mistakes get 400 `{{"error":"one sentence"}}`.

## Knobs

`{{"fault":"…","vendor":null,"org":null,"method":null,"path":"regular expression","count":n,"every":n,"after":n,
"probability":0.1,"id":"…", parameters…}}`. `vendor` is that of the port unless given. Each chance: skip the first
`after`, then take every `every`-th, with `probability`, at most `count` times. The dice are seeded.

| Fault | What happens |
|---|---|
{faults}

## {name}

Orgs: {orgs}. Sizes: {sizes}.

{docs}
## Adding a vendor

A folder `sandbox/<vendor>/` with one class that satisfies `sandbox/vendor.py` (`Vendor`), and one line in
`sandbox/registry.py`. The class brings an ASGI application (`app`) that serves the vendor's paths at the root; inside
it, `exchange_of(request)` gives the exchange: `served(records, org)` fills the journal, `struck("fault", org)` asks
whether a fault named in `faults` happens now. 429, 5xx, HTML, slow, cut and clock skew come from the gate, which asks
the vendor only for wording (`trouble`). Take people and companies from `sandbox/world.py`: person and company numbers
are the same in all vendors, so that their tables join by email and domain.
"""


def docs_of(vendor: Vendor) -> str:
    """Markdown about the control pages and one vendor."""
    faults = {**TRANSPORT_FAULTS, **vendor.faults}
    return _CONTROL.format(
        name=vendor.name,
        faults="\n".join(f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" for name, meaning in faults.items()),
        orgs=", ".join(vendor.orgs),
        sizes=", ".join(f"{name}={number}" for name, number in vendor.sizes.items()),
        docs=vendor.docs,
    )
