"""Answers with a place in them that nobody can read: nested without end, or no UTF-8."""

from __future__ import annotations

import re

from starlette.types import Message, Send

from gtmc_pipelines.sandbox.knobs import Knob

FAULT = "unreadable"
TEXT = (
    "the first answer in which `find` (regular expression) matches has `levels` (default 200000) of lists in place of "
    "its first match's first group, and bytes that are no UTF-8 in its last one's; levels 0: these alone"
)
_NO_UTF8 = b"\xff\xfe\xc3"


class Spoiler:
    """Holds an answer until it is whole, spoils it, and lets it go on. For an answer of one request."""

    def __init__(self, knob: Knob, send: Send) -> None:
        self._find = re.compile(str(knob.parameters["find"]).encode())
        self._levels = int(knob.parameters.get("levels", 200_000))
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._spoilt()
        kept = [pair for pair in self._start.get("headers", ()) if pair[0].lower() != b"content-length"]
        headers = [*kept, (b"content-length", str(len(body)).encode())]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _spoilt(self) -> bytes:
        places = [found.span(1) for found in self._find.finditer(self._body)]
        body = self._body
        if places:
            first, last = places[-1]
            quote = b'"' if body[first:last].startswith(b'"') else b""
            body = body[:first] + quote + _NO_UTF8 + quote + body[last:]
        if len(places) > 1 and self._levels:
            first, last = places[0]
            body = body[:first] + b"[" * self._levels + b"]" * self._levels + body[last:]
        return body
