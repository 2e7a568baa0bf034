"""An error's body is read as JSON, whatever a vendor puts there."""

import pytest

from gtmc_pipelines.connectors.error_rules import parsed


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 200_000, b"[" + b"[]," * 500_000 + b"1]"], ids=len)
def test_what_is_no_error_of_a_vendors_is_none(body: bytes) -> None:
    assert parsed(body) is None


def test_an_error_is_read() -> None:
    assert parsed(b'{"error":"invalid_grant"}') == {"error": "invalid_grant"}
