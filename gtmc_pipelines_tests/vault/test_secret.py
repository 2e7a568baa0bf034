"""The secret type: its value comes out of `reveal` and nowhere else."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from gtmc_pipelines.vault.secret import DOTS, Secret

SECRET = Secret("canary")


@pytest.mark.parametrize(
    "text",
    [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET!r:>20}", "%s" % SECRET, f"{[SECRET]}", f"{ {'a': SECRET} }"],  # noqa: UP031
)
def test_every_text_form_is_dots(text: str) -> None:
    assert DOTS in text
    assert "canary" not in text


def test_a_secret_is_never_serialized() -> None:
    for attempt in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as caught:
            attempt(SECRET)
        assert "canary" not in str(caught.value)


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert SECRET != "canary"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_an_empty_secret_counts_as_none() -> None:
    assert not Secret("")
    assert Secret("x")
