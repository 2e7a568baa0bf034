"""A page of somebody else's, open in the same browser: it tries each way a browser has to reach Dagster unasked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

_PAGE = """<!doctype html><title>hostile</title><iframe name="sink"></iframe><iframe src="DAGSTER/runs"></iframe>
<form method="post" enctype="text/plain" action="DAGSTER/graphql?query=MUTATION" target="sink"><input name="a"></form>
<img src="DAGSTER/graphql?query=MUTATION"><iframe src="DAGSTER/graphql?query=MUTATION"></iframe>
<script>
const body = JSON.stringify({query: decodeURIComponent("MUTATION")});
const headers = {"content-type": "application/json"};
const settled = promise => promise.then(() => true, () => false);
const loaded = (element, address) => new Promise(done => {
  element.onload = element.onopen = () => done(true);
  element.onerror = () => done(false);
  if (address) element.src = address;
});
const unseen = settled(fetch("DAGSTER/graphql", {method: "POST", mode: "no-cors", body}));
const tries = {
  read: settled(fetch("DAGSTER/server_info")),
  write: settled(fetch("DAGSTER/graphql", {method: "POST", headers, body})),
  image: loaded(new Image(), "DAGSTER/favicon.png"),
  socket: loaded(new WebSocket("DAGSTER/graphql".replace("http", "ws"), "graphql-ws")),
};
document.forms[0].submit();
window.onload = async () => {
  const came = [""];
  await unseen;
  for (const [name, tried] of Object.entries(tries)) if (await tried) came.push(name);
  document.title = "tried" + came.join(" ");
};
</script>"""


@contextmanager
def hostile_page(dagster: str, mutation: str) -> Iterator[str]:
    """Serves the page on another port of this machine, which a browser counts as another origin; gives its address."""
    text = _PAGE.replace("MUTATION", quote(mutation)).replace("DAGSTER", dagster).encode()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
