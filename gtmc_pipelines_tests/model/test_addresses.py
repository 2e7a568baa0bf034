"""A person's address: one form for all ways of writing it, null for what nobody can write to; machines and roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.addresses import host_of, plain_address, written_forms
from gtmc_pipelines.model.machine_addresses import is_machine, is_role
from gtmc_pipelines.model.salesforce_ids import id18
from gtmc_pipelines.model.text_forms import folded
from gtmc_pipelines_tests.model.disguises import addresses, disguised

WRAPPINGS = (
    "{}",
    "  {}\n",
    "Gone Person <{}>",
    '"Person, Gone" <{}>',
    "mailto:{}?subject=ben@other.example",
    "{} (Gone)",
)
SEVERAL = ("{}; ben@other.example", "{}, Ben <ben@other.example>", "<{}>\nben@other.example")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("KIM+news@Example.com.", "kim+news@example.com"),
        ("kim@münchen.example", "kim@xn--mnchen-3ya.example"),
        ("İNFO@Example.com", "info@example.com"),
        ("I\u0307NFO@Example.com", "info@example.com"),
        ("'kim.o'neil@example.com'", "kim.o'neil@example.com"),
        ('"kim"@example.com', "kim@example.com"),
        ("SMTP:kim@example.com", "kim@example.com"),
        ("\ufeffkim\u200b@example.com", "kim@example.com"),
        ("ｋｉｍ＠ｅｘａｍｐｌｅ．ｃｏｍ", "kim@example.com"),
        ("kim@example.com; ben@other.example", "kim@example.com"),
        ("Jose\u0301@example.com", "josé@example.com"),
    ],
)
def test_an_address_is_kept_in_one_form(text: str, address: str) -> None:
    assert plain_address(text) == address
    assert host_of(text) == address.rpartition("@")[2]


@pytest.mark.parametrize(
    "text",
    [
        *("", "n/a", "none", "@", "kim", "kim@", "@example.com", "kim@localhost", "kim@n.a.", "kim@192.0.2.1"),
        *("kim@[192.0.2.1]", "kim@@example.com", "kim@example@com", "call kim@example.com", "kim berg@example.com"),
        *("/o=ExchangeLabs/ou=Group/cn=Recipients/cn=kim", "IMCEAEX-_O=EX_CN=kim@example.com", "/G=Kim/@example.com"),
        *('"kim berg"@example.com', "kim℀x@", f"{'a' * 129}@example.com"),
    ],
)
def test_what_nobody_can_write_to_is_no_address(text: str) -> None:
    assert plain_address(text) is None


@given(addresses(), st.data())
def test_all_that_reads_alike_is_one_address(address: str, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(written_forms(address)))
    wrapping = data.draw(st.sampled_from([*WRAPPINGS, *SEVERAL]))
    assert plain_address(wrapping.format(data.draw(disguised(form)))) == address


@given(st.text(max_size=50) | addresses().flatmap(disguised))
def test_the_plain_form_of_an_address_is_itself(text: str) -> None:
    address = plain_address(text)
    assert address is None or plain_address(address) == address


@given(st.text(max_size=50))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    "local",
    [
        *("postmaster", "no-reply", "NoReply", "no.reply+x", "do_not_reply", "donotreply-us", "bounce+kim=example.org"),
        *("bounces-123", "mailer-daemon", "notifications", "acme-noreply", "calendar-notification", "team-request"),
        *("reply+0a1b2c3d4e5f", "srs0=ab=cd=example.org=kim", "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e"),
        *(
            "ne-pas-repondre",
            "nicht.antworten",
            "autoreply",
            "kim=example.org",
            "do.not.respond",
            "dmarc-reports",
            "tls-rpt",
            "ｎｏ\u200b-reply",
        ),
    ],
)
def test_the_address_of_a_program_is_known(local: str) -> None:
    assert is_machine(f"{local}@example.com")


@pytest.mark.parametrize(
    "local", ["arno.reply", "kim.bounce", "talbot", "kim+noreply", "bouncer", "product-owner", "info"]
)
def test_a_person_is_not_taken_for_a_program(local: str) -> None:
    assert not is_machine(f"{local}@example.com")


def test_a_role_is_told_from_a_person_and_from_a_program() -> None:
    assert is_role("Info@example.com")
    assert is_role("sales+eu@example.com")
    assert not is_role("kim@example.com")
    assert not is_role("no-reply@example.com")
    assert not is_machine("n/a")


def test_a_salesforce_id_has_one_form() -> None:
    assert id18("001D000000IqhSL") == id18("001d000000iqhsliaz") == id18(" 001D000000IqhSLIAZ ") == "001D000000IqhSLIAZ"
    assert [id18(text) for text in ("", "001D", "001D000000IqhSLIA", "001D000000IqhSLIA-", "001D000000IqhSL999")] == [
        None
    ] * 5


@given(st.from_regex(r"\A[A-Za-z0-9]{15}\Z"))
def test_a_long_id_survives_a_change_of_case(short: str) -> None:
    long = id18(short)
    assert long is not None
    assert long.startswith(short)
    assert id18(long) == id18(long.lower()) == id18(long.upper()) == long


@given(st.from_regex(r"\A[A-Za-z0-9]{15}\Z"), st.integers(0, 14))
def test_a_long_id_of_mixed_case_that_its_ending_denies_is_none(short: str, place: int) -> None:
    long = id18(short)
    assert long is not None
    changed = long[:place] + long[place].swapcase() + long[place + 1 :]
    is_mixed = changed[:15] not in (changed[:15].lower(), changed[:15].upper())
    assert id18(changed) == (None if is_mixed and changed != long else long)
