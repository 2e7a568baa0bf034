"""Drives a headless Chromium through its DevTools protocol: what a person sees, clicks and types. Nothing is slept."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--no-proxy-server",
    "--host-resolver-rules=MAP *.rebound.test 127.0.0.1",
)
WIDTH, HEIGHT = 1600, 1000
_POLL_SECONDS = 0.1

# The innermost visible element that matches a selector and whose text is (or holds) the one asked for.
_FIND = """
(selector, text, exact) => {
  const said = e => (e.innerText || e.value || e.getAttribute('aria-label') || '').replace(/\\s+/g, ' ').trim();
  const fits = e => text === null || (exact ? said(e) === text : said(e).includes(text));
  const found = [...document.querySelectorAll(selector)].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.height && getComputedStyle(e).visibility !== 'hidden' && fits(e);
  });
  return found.reverse().sort((a, b) => said(a).length - said(b).length)[0] || null;
}
"""
# Its middle, scrolled into view, once nothing covers it and it can be pressed.
_SPOT = """
(selector, text, exact) => {
  const e = (FIND)(selector, text, exact);
  if (!e || e.disabled || e.getAttribute('aria-disabled') === 'true') return null;
  e.scrollIntoView({block: 'center', inline: 'center'});
  const box = e.getBoundingClientRect();
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const top = document.elementFromPoint(x, y);
  return top && (e.contains(top) || top.contains(e)) ? [x, y] : null;
}
""".replace("FIND", _FIND)

_MOVES = """
() => document.getAnimations().some(
  a => a.playState === 'running' && a.effect.getComputedTiming().iterations !== Infinity)
"""


def installed() -> str | None:
    """Path of a Chromium on this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A browser with one page, in a profile of its own, ended when the block is left."""
    command = [program, *FLAGS, f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={profile}", "about:blank"]
    with (profile / "chromium.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with connect(_page_address(profile), max_size=None, proxy=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _page_address(profile: Path) -> str:
    port_file = profile / "DevToolsActivePort"
    until(lambda: port_file.exists() and "\n" in port_file.read_text(), "Chromium to start", 60)
    port = port_file.read_text().splitlines()[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
        pages = [target for target in json.load(answer) if target["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])


class Page:
    """The page: everything waits for its condition and fails with what was waited for and what is on screen."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.command("Page.enable")
        self.command(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False
        )

    def command(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol and its answer."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def run(self, expression: str, *arguments: Any) -> Any:
        """The value of a JavaScript function called with these arguments."""
        call = f"({expression})({', '.join(json.dumps(argument) for argument in arguments)})"
        answer = self.command("Runtime.evaluate", expression=call, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def goto(self, url: str) -> None:
        """Open an address."""
        self.command("Page.navigate", url=url)

    @property
    def text(self) -> str:
        """Everything that can be read on the page."""
        return str(self.run("() => document.body ? document.body.innerText : ''"))

    def sees(self, *texts: str, seconds: float = 30) -> None:
        """Wait until all of these can be read."""
        self.wait(lambda: not [text for text in texts if text not in self.text], f"{texts} to be seen", seconds)

    def no_longer_sees(self, text: str, seconds: float = 30) -> None:
        """Wait until this can't be read any more."""
        self.wait(lambda: text not in self.text, f"{text!r} to go", seconds)

    def has(self, selector: str, text: str | None = None, *, exact: bool = True) -> bool:
        """Whether such an element is visible now."""
        return bool(self.run(f"(...given) => !!({_FIND})(...given)", selector, text, exact))

    def link_to(self, text: str) -> str:
        """Where the link with this in its text leads."""
        find = "(text) => [...document.links].filter(a => a.innerText.includes(text)).map(a => a.href)[0] || ''"
        found: list[str] = []
        self.wait(lambda: bool(found.append(str(self.run(find, text))) or found[-1]), f"a link to {text}")
        return found[-1]

    @property
    def path(self) -> str:
        """The page's address below its host."""
        return str(self.run("() => location.pathname"))

    def wait(self, is_true: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait for anything; the failure tells what was on screen."""
        until(is_true, what, seconds, lambda: f"On screen: … {self.text[-1_500:]}")

    def soon(self, is_true: Callable[[], bool], seconds: float) -> bool:
        """Whether something comes true in this time."""
        deadline = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def click(self, selector: str, text: str | None = None, *, exact: bool = True, seconds: float = 30) -> None:
        """Press the element with the mouse, once it has come to rest and nothing covers it."""
        spot: list[float] = []

        def is_at_rest() -> bool:
            before, spot[:] = list(spot), self.run(_SPOT, selector, text, exact) or []
            return bool(spot) and before == spot

        self.wait(is_at_rest, f"{selector} {text!r} to be clickable", seconds)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.command("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], **pressed)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.command("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """Keep what is on screen once nothing moves on it but what turns for ever."""
        self.soon(lambda: not self.run(_MOVES), 3)
        file.parent.mkdir(parents=True, exist_ok=True)
        shot = self.command("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))


def until(is_true: Callable[[], bool], what: str, seconds: float, more: Callable[[], str] = lambda: "") -> None:
    """Wait for a condition; fail naming it when it doesn't come true in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"Waited {seconds:.0f} s for {what}. {more()}"
        time.sleep(_POLL_SECONDS)
