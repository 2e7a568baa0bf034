"""A company's domain: one form for all ways of writing it, never taken from behind the host, null for what is none."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.domains import plain_domain, readable_host
from gtmc_pipelines_tests.model.disguises import disguised, hosts

TAILS = st.text(st.characters(codec="utf-8"), max_size=30)
OTHER = ("https://other.example/x", "//other.example", "http://u@other.example", "@other.example", "other.example")


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://www.example.com/?ref=https://other.example/x", "example.com"),
        ("https://example.com/?x=http://", "example.com"),
        ("https://example.com#https://other.example", "example.com"),
        ("example.com\\@other.example", "example.com"),
        ("https://user:p@ss@example.com:8080/x@other.example", "example.com"),
        ("https:example.com", "example.com"),
        ("http:/\\example.com", "example.com"),
        ("http://https://www.example.com", "example.com"),
        ("//example.com/x", "example.com"),
        ("mailto:kim@example.com?cc=ben@other.example", "example.com"),
        ("Kim Berg <kim@example.com>", "example.com"),
        ("(example.com)", "example.com"),
        ("www.www.example.com.", "example.com"),
        ("ex%61mple.com", "example.com"),
        ("a.example, b.example", "a.example"),
        ("ｈｔｔｐｓ：／／ｅｘａｍｐｌｅ．ｃｏｍ／", "example.com"),
        ("example。com", "example.com"),
        ("İNFO.EXAMPLE", "info.example"),
        ("MU\u0308NCHEN.example", "xn--mnchen-3ya.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
    ],
)
def test_a_domain_is_found_where_browsers_find_the_host(text: str, domain: str) -> None:
    assert plain_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            "-",
            "@",
            "n.a.",
            "N.A",
            "t.b.d.",
            "n/a",
            "none",
            "k.A.",
            "-.com",
            "example..com",
            ".com",
            "com",
        ),
        *(
            "http://",
            "https://?x=y.example",
            "/example.com",
            "www.",
            "www.com",
            "www.acme",
            "localhost",
            "kim@localhost",
        ),
        *("192.0.2.1", "http://192.0.2.1:80/", "[::1]", "http://[2001:db8::1]/", "1.2.3", "0x7f.1", "kim@[192.0.2.1]"),
        *(
            "acme example.com",
            "Dr.Smith and partners",
            "exa_mple.com",
            "-a.example",
            "a-.example",
            f"{'a' * 64}.example",
        ),
        *(f"{'a.' * 130}example", "javascript:alert(1)", "file:///etc/passwd", "skype:acme.example", "example.com:abc"),
        *("https://example.com℀.other.example", "example.com%00.other.example", "xn--a.example", "xn--abc-.example"),
        *("example.c", "example.c0m", "\u0308a.example", "kim@example@", "https://example.com%2F.other.example"),
    ],
)
def test_what_is_no_host_name_is_no_domain(text: str) -> None:
    assert plain_domain(text) is None


@given(hosts(), st.sampled_from(["/", "?", "#", "\\"]), TAILS, st.sampled_from(OTHER), TAILS)
def test_nothing_behind_the_host_is_taken_for_it(host: str, end: str, before: str, other: str, after: str) -> None:
    for scheme in ("https://", "http:", "//", ""):
        assert plain_domain(f"{scheme}{host}{end}{before}{other}{after}") == host


@given(hosts(), st.text("abcABC0189._~!$&'()*+;=%:@-", max_size=20), st.integers(0, 65535))
def test_neither_a_login_nor_a_port_is_part_of_the_host(host: str, login: str, port: int) -> None:
    assert plain_domain(f"https://{login}@{host}:{port}/") == host


@given(hosts(), st.data())
def test_all_that_reads_alike_is_one_domain(host: str, data: st.DataObject) -> None:
    for form in (host, readable_host(host), unicodedata.normalize("NFD", readable_host(host))):
        assert plain_domain(data.draw(disguised(form))) == host


@given(st.text(max_size=60) | hosts().flatmap(disguised))
def test_the_plain_form_of_a_domain_is_itself(text: str) -> None:
    domain = plain_domain(text)
    if domain is not None:
        assert plain_domain(domain) == domain
        assert domain.isascii()
        assert domain == domain.lower()
