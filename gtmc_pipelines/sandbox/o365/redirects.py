"""Where the imitated login host sends a browser: back to the app, to a choice of directories, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

_LOCALHOST = re.compile(r"http://localhost(:\d{1,5})?(?=[/?#]|\Z)")


def is_registered(redirect_uri: str, registered: Iterable[str]) -> bool:
    """Whether a redirect address is one of those registered, as Microsoft compares them.

    The port of a localhost address is ignored, nothing else is. A bare 127.0.0.1 is another address ("Redirect URI
    restrictions": only `localhost` may be http in the portal).
    """
    return _without_local_port(redirect_uri) in map(_without_local_port, registered)


def back(redirect_uri: str, state: str | None, values: dict[str, str]) -> Response:
    """To the app, with an answer."""
    query = urlencode({**values, **({"state": state} if state is not None else {})})
    return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}", 302)


def choice(request: Request, orgs: Iterable[str]) -> Response:
    """A page with a link for each directory, to the same place."""
    tail = request.url.path.partition("/")[2].partition("/")[2]
    query = escape(urlencode(list(request.query_params.items())))
    links = [f'<li><a href="/{org}/{escape(tail)}?{query}">{escape(org)}</a></li>' for org in orgs]
    return HTMLResponse(
        "<!DOCTYPE html><html><head><title>Choose</title></head><body><h1>Your organization</h1>"
        f"<ul>{''.join(links)}</ul></body></html>"
    )


def page(text: str, status: int) -> Response:
    """The login host's own page, from which nothing leads back."""
    return HTMLResponse(f"<!DOCTYPE html><html><body><h1>Sign in</h1><p>{escape(text)}</p></body></html>", status)


def _without_local_port(uri: str) -> str:
    return _LOCALHOST.sub("http://localhost", uri, count=1)
