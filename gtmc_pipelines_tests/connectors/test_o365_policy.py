"""What may be kept: allowed external domains only, the tenant's own never, content not at all."""

import pytest

from gtmc_pipelines.connectors.o365.policy import FORBIDDEN, SELECTED, Policy, refuse_content
from gtmc_pipelines.model.errors import Broken

POLICY = Policy.of(
    {"allowed_domains": ["Partner.COM.", "münchen.example", "acme.example"], "own_domains": ["acme.example"]}
)


@pytest.mark.parametrize(
    "address", ["kim@partner.com", " Kim@PARTNER.com ", "o@MÜNCHEN.example", "Kim <ki\u200bm@ｐartner.com>"]
)
def test_people_on_an_allowed_domain_may_be_kept(address: str) -> None:
    assert POLICY.is_allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "kim@sub.partner.com",
        "kim@partner.com.evil.example",
        "kim@notpartner.com",
        "@partner.com",
        "partner.com",
        "",
        "/O=EXCHANGELABS/OU=X/CN=KIM",
        "IMCEAEX-_O=EXCHANGELABS_CN=KIM@partner.com",
        "a@b@partner.com",
        "kim@www.partner.com",
        "kim@acme.example",
        "kim@mail.acme.example",
    ],
)
def test_nobody_on_any_other_domain_may_be_kept(address: str) -> None:
    assert not POLICY.is_allowed(address)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"allowed_domains": []},
        {"allowed_domains": None},
        {"allowed_domains": "partner.com"},
        {"allowed_domains": ["*", "com", ""]},
        {"allowed_domains": ["acme.example", "eu.acme.example"], "own_domains": ["acme.example"]},
    ],
)
def test_without_an_allowed_external_domain_nothing_is_kept(options: dict[str, object]) -> None:
    assert Policy.of(options).keeps_nothing


def test_the_directorys_own_domains_are_own_ones_even_when_allowed() -> None:
    policy = Policy.of({"allowed_domains": ["second.example", "partner.com"]}).with_own({"second.example"})
    assert not policy.is_allowed("a@second.example")
    assert policy.is_allowed("a@partner.com")


def test_the_fingerprint_changes_with_either_list_and_with_nothing_else() -> None:
    first = Policy.of({"allowed_domains": ["a.example", "b.example"], "own_domains": ["c.example"]})
    same = Policy.of({"allowed_domains": ["B.example", "a.example"], "own_domains": ["c.example"]})
    assert first.fingerprint == same.fingerprint
    others = [
        Policy.of({"allowed_domains": ["a.example"], "own_domains": ["c.example"]}),
        Policy.of({"allowed_domains": ["a.example", "b.example", "c.example"]}),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_the_selection_names_nothing_that_is_forbidden() -> None:
    assert not FORBIDDEN & {name.lower() for name in SELECTED}


@pytest.mark.parametrize("name", [*sorted(FORBIDDEN), "bodyPreview", "SUBJECT", "attachments@odata.context"])
def test_content_of_a_message_is_a_privacy_fault_and_its_name_is_all_that_is_said(name: str) -> None:
    with pytest.raises(Broken) as raised:
        refuse_content(["id", name])
    assert raised.value.code == "privacy_fault"
    assert raised.value.next_step


def test_annotations_and_unknown_members_are_no_content() -> None:
    refuse_content(["@odata.etag", "@removed", "id", "surprise", *SELECTED])


def test_domains_are_compared_in_one_form() -> None:
    policy = Policy.of(
        {"allowed_domains": [" https://www.BÜCHER.Example./ "], "own_domains": ["xn--mnchen-3ya.example"]}
    )
    assert policy.is_allowed("Kim@xn--bcher-kva.example")
    assert policy.is_own("kim@mail.mu\u0308nchen.example")
