"""Addresses nobody reads or writes from, and addresses of a role: one list of each, for all rooms.

A machine's mail is counted and never makes a contact. A role's address (info@, sales@) is answered by
people, and one that somebody entered in a CRM is a contact; it only names nobody in particular.

The words are those of RFC 2142 (roles, postmaster, list-request), RFC 5321 (postmaster, mailer-daemon by
custom), RFC 3834 (automatic answers), RFC 7489 and 8460 (reports on mail), mailing list software (Mailman,
LISTSERV, Majordomo), bounce addresses (VERP, BATV, SRS), Exchange's system mailboxes, and Google's calendars.
"""

from __future__ import annotations

import re

from gtmc_pipelines.model.addresses import plain_address

_ALONE = (
    r"postmaster|hostmaster|root|daemon|mdaemon|nobody|cron|uucp|usenet|ftp|www-?data|system|automailer|mailer|mailman"
    r"|mail[._-]?daemon|listserv|listserver|majordomo|bot|robot|chatbot|notetaker|scanner|scan|printer|copier|fax"
    r"|alerts?|monitoring|newsletters?|digest|reply|replies|unsubscribe|unsub|opt-?out|quarantine|spamfilter|undeliverable"
    r"|(?:dmarc|tls)[._-]?(?:reports?|rua|ruf|rpt)|dmarc"
)
_ANYWHERE = (
    r"(?:no|do[._-]?not|dont|never|not)[._-]?(?:repl(?:y|ies)|respon(?:d|se))|mailer[._-]?daemon"
    r"|bounces|notifications?|notifier|notify"
    r"|auto[._-]?(?:repl(?:y|ies)|respon(?:se|d|der)|confirm|notif\w*|generated|mailer|messages?)|automated"
    r"|ne[._-]?pas[._-]?repondre|nicht[._-]?antworten|keine[._-]?antwort|no[._-]?res(?:ponder|ponda)|nao[._-]?responda"
    r"|non[._-]?rispondere|niet[._-]?beantwoorden|nie[._-]?odpowiadac|svara[._-]?inte|svar[._-]?ikke|ei[._-]?vastaus"
    r"|delivery[._-]?(?:status|failure|notification)|mail[._-]?delivery|calendar[._-]?(?:server|notification)"
)
_BEGINNING = (
    r"bounce(?![a-z])|no[._-]?reply|do[._-]?not[._-]?reply|owner-|msprvs1=|srs[01][=+-]|btv1=|prvs=|reply[+_=-][0-9a-z]{6}"
    r"|microsoftexchange[0-9a-f]{8}|healthmailbox|systemmailbox|discoverysearchmailbox|federatedemail\.|migration\.[0-9a-f]{8}"
)
_ENDING = r"-request|-(?:un)?subscribe|-bot|=[^=@]+\.[a-z]{2,}"
_MACHINE = re.compile(
    rf"(?:{_ALONE})(?:[0-9]{{0,4}}|-[0-9]+)|(?:{_BEGINNING}).*|(?:.*[^a-z])?(?:{_ANYWHERE})(?:[^a-z].*)?|.*(?:{_ENDING})"
)
_MACHINE_HOST = re.compile(
    r"(?:bounces?|no-?reply|unsubscribe|reply)\..*|.*\.noreply\.github\.com"
    r"|(?:resource|group|import)\.calendar\.google\.com"
)
_ROLE = re.compile(
    r"info(?:rmation)?|marketing|sales|support|abuse|noc|security|hostmaster|webmaster|www|news|press|media|pr"
    r"|hello|hi|hallo|contact(?:us|-us)?|kontakt|office|mail|email|enquir(?:y|ies)|inquir(?:y|ies)|team|all|everyone"
    r"|admin(?:istrator)?|help(?:desk)?|service|services|kundenservice|customer-?(?:care|service|success|support)"
    r"|billing|invoices?|rechnung(?:en)?|accounts?|accounting|accountspayable|ap|ar|payroll|finance|buchhaltung"
    r"|hr|people|jobs?|careers?|recruit(?:ing|ment)?|bewerbung(?:en)?|legal|privacy|gdpr|dpo|datenschutz|compliance"
    r"|orders?|purchas(?:e|ing)|procurement|einkauf|vertrieb|verkauf|partners?|returns|feedback|reception|empfang"
    r"|it|dev|developers?|engineering|ops|operations|events?|community|subscriptions?|list|postmaster"
)


def is_machine(address: str) -> bool:
    """Whether an address is a program's: nobody to contact. False for what is no address."""
    local, host = _parts(address)
    return bool(host) and bool(_MACHINE.fullmatch(local) or _MACHINE_HOST.fullmatch(host))


def is_role(address: str) -> bool:
    """Whether an address is that of an office or a group and not of one person. False for what is no address."""
    local, host = _parts(address)
    return bool(host) and _ROLE.fullmatch(local) is not None


def _parts(address: str) -> tuple[str, str]:
    """Local part without its tag, and host. What follows `reply+` or `bounce+` is theirs, and stays."""
    local, _, host = (plain_address(address) or "").rpartition("@")
    base = local.partition("+")[0]
    return (local if base in ("reply", "srs0", "srs1") else base), host
