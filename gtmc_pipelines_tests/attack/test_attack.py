"""The short form of every kind of attack is repelled; and were a defence missing, the attack would come through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jwt
import pytest

from gtmc_pipelines.cli import console
from gtmc_pipelines.cli.declared import references
from gtmc_pipelines.connectors import host_guard, http, oauth
from gtmc_pipelines.defs import guard, showing
from gtmc_pipelines.storage import oauth_states, session_reset
from gtmc_pipelines.vault import keyring, log_lines
from gtmc_pipelines_tests.attack.attempt import dice_of
from gtmc_pipelines_tests.attack.kinds import KINDS
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.attack.tally import tried
from gtmc_pipelines_tests.attack.victims import tables_of
from gtmc_pipelines_tests.storage import write_scene

pytestmark = pytest.mark.services

SEED = 20_260_115


@pytest.mark.parametrize("name", KINDS)
def test_no_attack_of_the_short_form_comes_through(name: str, stage: Stage) -> None:
    kind = KINDS[name]
    tally = tried(kind, stage, SEED, range(kind.few))
    assert tally.attacks == kind.few
    assert tally.through == [], tally.told(SEED)


@contextmanager
def _without_policies(stage: Stage) -> Iterator[None]:
    with stage.owner() as owner:
        names = [table.name for table in tables_of(owner)]
        for name in names:
            owner.execute(f"CREATE POLICY hole ON {name} USING (true)".encode())
        try:
            yield
        finally:
            for name in names:
                owner.execute(f"DROP POLICY hole ON {name}".encode())


@contextmanager
def _with_unbound_blobs(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyring, "_tenant_key", lambda key, _tenant: key)
        patch.setattr(keyring.SealContext, "associated_data", lambda _self: b"")
        yield


@contextmanager
def _with_a_blind_guard(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_guard, "is_public", lambda _text: True)
        yield


@contextmanager
def _with_unsigned_states(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oauth.hmac, "compare_digest", lambda *_: True)
        patch.setattr(oauth_states, "consume", lambda *_: True)
        yield


@contextmanager
def _without_a_guard(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "refusal", lambda *_: None)
        yield


@contextmanager
def _with_values_as_they_are(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for place in (console, showing, log_lines):
            patch.setattr(place, "shown", str)
        patch.setattr(showing, "description", str)
        yield


@contextmanager
def _with_sessions_kept(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_reset, "reset", lambda connection: connection.rollback())
        yield


@contextmanager
def _with_references_anywhere(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references.Reach, "_check", lambda *_: None)
        patch.setattr(references.Reach, "may_name", lambda *_: True)
        yield


@contextmanager
def _with_unverified_tokens(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        decode = jwt.decode
        patch.setattr(jwt, "decode", lambda token, *_, **__: decode(token, options={"verify_signature": False}))
        yield


@contextmanager
def _with_raw_faults(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "_FAULTS_OF_THE_WAY", ())
        yield


@contextmanager
def _with_texts_cut(_stage: Stage) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_scene, "_text", lambda value: value and value[:9])
        yield


SABOTAGE = {
    "rows": (_without_policies, {"select", "update", "delete", "copy", "prepared", "cursor"}),
    "blobs": (_with_unbound_blobs, {"move", "swap halves"}),
    "addresses": (_with_a_blind_guard, {"decimal", "bracketed", "name"}),
    "states": (_with_unsigned_states, {"altered", "signed by another", "replayed", "raced"}),
    "pages": (_without_a_guard, {"link", "form", "fetch", "rebound", "socket", "report"}),
    "borrowers": (_with_sessions_kept, {"setting", "setting by a function"}),
    "references": (_with_references_anywhere, {"path", "variable"}),
    "tokens": (_with_unverified_tokens, {"flipped", "foreign key"}),
    "vendors": (_with_raw_faults, {"?"}),
    "records": (_with_texts_cut, {"text", "key"}),
    "values": (_with_values_as_they_are, {"control", "markup", "both"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_without_its_defence_an_attack_comes_through_in_the_forms_it_guards_against(name: str, stage: Stage) -> None:
    sabotaged, forms = SABOTAGE[name]
    with sabotaged(stage):
        tally = tried(KINDS[name], stage, SEED, range(min(100, 2 * KINDS[name].few)))
    assert {form for _, form, _ in tally.through} >= forms
    number = next(number for number, _, _ in tally.through if number is not None)
    assert f"--seed {SEED} --kinds {name} --number {number}" in "\n".join(tally.told(SEED))


def test_an_attempt_is_repeated_by_its_seed_kind_and_number() -> None:
    assert dice_of(1, "rows", 7).random() == dice_of(1, "rows", 7).random()
    others = {dice_of(1, "rows", 8).random(), dice_of(2, "rows", 7).random(), dice_of(1, "blobs", 7).random()}
    assert dice_of(1, "rows", 7).random() not in others
    assert len(others) == 3
