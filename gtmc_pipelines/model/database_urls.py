"""Which database URLs can be read in one way only.

SQLAlchemy, libpq and Python's own parser end a password at different characters when it holds an unwritten
`@`, `/`, `?` or `#`; what one takes for a password's tail another takes for a host, and prints. So a URL
that could be read in two ways is refused before anybody parses it.
"""

from __future__ import annotations

import re

_URL = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://"
    r"(?:[^\s:/?#\[\]]*(?::[^\s@/?#\[\]]*)?@)?"  # user:password@
    r"(?:[\w.,%-]*|\[[0-9a-fA-F:.%]+\])(?::\d{1,5})?"  # hosts, port
    r"(?:/[^\s@?#]*)?(?:\?[^\s@#]*)?"  # database, parameters
)

HOW_TO_WRITE = (
    "must look like postgresql://user:password@host:port/database, with @ / ? # [ ] and % of a name or a password "
    "written as %40 %2F %3F %23 %5B %5D %25"
)
"""What a message says of a URL that isn't one: never any part of it."""


def is_unambiguous(url: str) -> bool:
    """Whether every parser finds the same user, password, host and database in a PostgreSQL URL."""
    return _URL.fullmatch(url) is not None
