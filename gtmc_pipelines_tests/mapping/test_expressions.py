"""Custom transforms: what the language offers, what it refuses, and that nothing escapes from it."""

from __future__ import annotations

import logging
import string
import threading
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.model.errors import Misuse, Reject


def result(source: str, value: Any = None, record: dict[str, Any] | None = None) -> Any:
    return Expression(source).evaluate(value, record, "Field__c")


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("value", "x", "x"),
        ("value + '!'", "x", "x!"),
        ("lower(value)", "ÄB", "äb"),
        ("value.upper()", "ab", "AB"),
        ("trim(value)", " a ", "a"),
        ("lower(value)", None, None),
        ("coalesce(value, 'none')", "", "none"),
        ("coalesce([null, '', 'b'])", None, "b"),
        ("concat(value, '-', 1, null, 2.5)", "a", "a-12.5"),
        ("split(value, '@')[1]", "a@b.c", "b.c"),
        ("join(['a', 'b'], ', ')", None, "a, b"),
        ("replace(value, '-', '')", "1-2-3", "123"),
        ("substring(value, 0, 3)", "abcdef", "abc"),
        ("substring(value, 4)", "abcdef", "ef"),
        ("number(value) * 2.0", "1.5", Decimal("3.0")),
        ("number(value)", "12345678901234567890.12", "12345678901234567890.12"),
        ("to_number(value)", " 7 ", Decimal("7.0")),
        ("text(12.50)", None, "12.5"),
        ("date(value)", "2026-01-31T23:30:00-05:00", "2026-02-01"),
        ("time(value)", 0, "1970-01-01 00:00:00+00:00"),
        ("timestamp('2026-01-31T10:00:00Z')", None, "2026-01-31T10:00:00+00:00"),
        ("domain(value)", "HTTPS://www.Example.com:8080/a?b", "example.com"),
        ("domain(value)", "Kim@Mail.Example.com", "mail.example.com"),
        ("domain(value)", "no domain", None),
        ("value.contains('x') ? 'yes' : 'no'", "axb", "yes"),
        ("size(value) > 3", "abcd", True),
        ("'constant'", None, "constant"),
        ("value // a comment's end", "x", "x"),
    ],
)
def test_the_documented_functions_do_what_they_say(source: str, value: Any, expected: Any) -> None:
    assert result(source, value) == expected


def test_an_absent_field_is_null_unless_the_expression_asks() -> None:
    assert Expression("coalesce(record.a, record.b)").fields == ("a", "b")
    assert Expression("has(record.a) ? 'yes' : 'no'").fields is None
    assert result("has(record.a) ? 'yes' : 'no'", None, {}) == "no"
    assert result("field(record, 'a.b.c')", None, {"a": {}}) is None
    assert result("field(record, 'l.0.e')", None, {"l": [{"e": 1}]}) == 1


def test_one_loop_finds_an_element_of_a_list() -> None:
    record = {"invitees": [{"ext": False, "email": "a@x"}, {"ext": True, "email": "b@y"}]}
    assert result("record.invitees.filter(i, i.ext)[0].email", None, record) == "b@y"


@pytest.mark.parametrize(
    "number", [Decimal("12345678901234567890.12"), Decimal("0.1234567890123456789"), 2**63, -(2**70), Decimal("1e400")]
)
def test_a_number_a_double_cant_hold_passes_through_whole(number: Any) -> None:
    assert Decimal(result("value", number)) == number


@pytest.mark.parametrize("number", [Decimal("1.10"), Decimal("0.1"), 7, Decimal("1E+3"), 2**63 - 1])
def test_an_ordinary_number_stays_a_number(number: Any) -> None:
    assert result("value == value && type(value) != string", number) is True
    assert result("value", number) == number


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "empty"),
        ("1 +", "character 4"),
        ("foo", "not foo"),
        ("value.map(x, y)", "not y"),
        ("__import__('os')", "No such function"),
        ("exec('1')", "No such function"),
        ("matches(value, '(a+)+$')", "No such function"),
        ("value.matches('a')", "No such function"),
        ("now()", "No such function"),
        ("value.__class__.mro()", "No such function"),
        ("r'raw'", "Raw"),
        ("b'bytes'", "Raw"),
        ("x" * 4001, "4000 characters"),
        ("(" * 1500 + "1" + ")" * 1500, "read"),
        ("[" * 1500 + "]" * 1500, "read"),
        ("record.l.map(x, record.l.map(y, y))", "One map"),
        ("record.l.map(x, x).map(y, y)", "One map"),
        ("record.l.map(x, x" + " + 1" * 150 + ")", "500 characters"),
        ("+".join(["value"] * 65), "more than 64"),
        ("record.l.map(value, value)", "loop variable"),
        ("value\x00", "control"),
        ("'\ud83d'", "control"),
    ],
    ids=lambda text: text[:30],
)
def test_a_hostile_or_broken_expression_is_refused_when_saved(source: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        Expression(source)


@pytest.mark.parametrize(
    ("source", "value", "record"),
    [
        ("value + 1", "canary", None),
        ("value.a.b", "canary", None),
        ("lower(value)", 12, None),
        ("lower()", None, None),
        ("lower(value, value)", "canary", None),
        ("1 / 0", None, None),
        ("9223372036854775807 + value", 1, None),
        ("int(value)", "canary", None),
        ("record.a.b", None, {"a": None}),
        ("split(value, ',')[9]", "canary", None),
        ("replace(value, '', 'x')", "canary", None),
        ("replace(value, 'a', '" + "x" * 3000 + "')", "a" * 1000, None),
        ("concat(" + ",".join(["value"] * 60) + ")", "canary" * 20_000, None),
        ("split(value, ',')", "," * 20_000, None),
        ("value", "canary" * 200_000, None),
        ("size(" + " + ".join(["split(value, ',')"] * 60) + ")", "," * 9_999, None),
        ("size(" + " + ".join(["participants(value)"] * 20) + ")", [{"email": "canary" * 50}] * 150, None),
        ("record.l.map(x, x)", None, {"l": list(range(201))}),
        ("double(value)", "canary", None),
        ("value", "canary\ud83d", None),
        ("{1: 2}", None, None),
        ("Foo{a: 1}", None, None),
        ("{'a': size}", None, None),
        ("number(value)", "canary", None),
        ("date(value)", "now", None),
    ],
    ids=lambda text: str(text)[:30],
)
def test_whatever_goes_wrong_rejects_the_record_and_tells_nothing_of_it(
    source: str, value: Any, record: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        expression = Expression(source)
    except Misuse:
        return
    with pytest.raises(Reject) as caught:
        expression.evaluate(value, record, "Field__c")
    assert (caught.value.code, caught.value.field) == ("custom_transform", "Field__c")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


def test_a_nul_made_by_an_expression_is_rejected() -> None:
    with pytest.raises(Reject) as caught:
        result(r"{'a': ['x\u0000']}")
    assert caught.value.code == "nul_character"


def test_maps_come_out_in_one_order_every_time() -> None:
    source = "{" + ",".join(f"'{letter}': 1" for letter in reversed(string.ascii_lowercase)) + "}"
    assert all(list(result(source)) == list(string.ascii_lowercase) for _ in range(20))


def test_the_worst_allowed_expressions_end_quickly() -> None:
    big = {"l": [{"t": "x" * 10}] * 200, "t": "y" * 500_000}
    for source in ("record.l.map(x, [x, x, x, x])", "+".join(["record.t"] * 60), "concat(record.t, record.t)"):
        expression = Expression(source)
        started = time.process_time()
        with suppress(Reject):  # too much to give is one of the two good ends
            expression.evaluate(None, big if "record.t" in source else {"l": big["l"]}, "f")
        assert time.process_time() - started < 0.5


def test_threads_never_see_each_others_records() -> None:
    expression = Expression("concat(value, record.a)")
    seen: list[tuple[str, str]] = []

    def work(name: str) -> None:
        seen.extend((name * 2, expression.evaluate(name, {"a": name}, "f")) for _ in range(300))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1200
    assert all(expected == actual for expected, actual in seen)


WORDS = (
    "value record . a ( ) [ ] { } ' \" + - ? : , 1 1.5 ! == && || in map filter lower concat coalesce domain split "
    "number \\ // null true has __class__ size timestamp int < % / u 0x e9 r' é"
)
TOKENS = st.sampled_from(WORDS.split(" "))


@settings(max_examples=400)
@given(st.lists(TOKENS, max_size=14).map("".join) | st.text(max_size=30))
def test_no_fuzzed_expression_raises_anything_but_its_two_errors(source: str) -> None:
    try:
        Expression(source).evaluate("text", {"a": ["x", {"b": Decimal("1.5")}]}, "f")
    except (Misuse, Reject):
        return
