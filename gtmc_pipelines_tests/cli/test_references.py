"""What a connector file may refer to: what lies below its folder or --secrets-dir, nothing of ours, few variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.cli.declared.references import Reach, Reference, Unreachable
from gtmc_pipelines.model.secret_variables import is_for_secrets, secret_variable
from gtmc_pipelines.settings import Settings, variable_of

CANARY = "canary-of-a-file"


@dataclass(frozen=True)
class Place:
    """A folder with a connector file, our home below it, a folder of secrets and somebody's private one beside it."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "files"

    @property
    def home(self) -> Path:
        return self.folder / ".gtmc"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def private(self) -> Path:
        return self.root / "private"

    def reach(self, *, with_secrets: bool = True) -> Reach:
        return Reach(self.folder, self.home, self.secrets if with_secrets else None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("reach").resolve())
    for folder in (made.folder / "keys", made.home, made.secrets, made.private):
        folder.mkdir(parents=True)
        (folder / "a.key").write_text(CANARY)
    (made.folder / "files-beside").mkdir()
    (made.root / "files-beside").mkdir()
    (made.root / "files-beside" / "a.key").write_text(CANARY)  # a name that begins like the folder's
    (made.folder / "to-file").symlink_to(made.private / "a.key")
    (made.folder / "to-folder").symlink_to(made.private)
    (made.folder / "to-home").symlink_to(made.home)
    (made.folder / "to-secrets").symlink_to(made.secrets)
    (made.folder / "round").symlink_to(made.folder / "round")
    (made.folder / "inside").symlink_to(made.folder / "keys")
    os.link(made.private / "a.key", made.folder / "hard")
    os.mkfifo(made.folder / "pipe")
    return made


@pytest.mark.parametrize(
    "where",
    [
        *("keys/a.key", "./keys/../keys/a.key", "inside/a.key", "keys//a.key"),
        *("../secrets/a.key", "{secrets}/a.key", "to-secrets/a.key", "{folder}/keys/a.key", "a.key"),
    ],
)
def test_below_the_folder_and_below_the_secrets(place: Place, where: str) -> None:
    assert place.reach().text_of(where.format(secrets=place.secrets, folder=place.folder)) == CANARY


@pytest.mark.parametrize(
    "where",
    [
        *("../private/a.key", "keys/../../private/a.key", "{private}/a.key", "to-file", "to-folder/a.key"),
        *(".gtmc/a.key", "to-home/a.key", "keys/../.gtmc/a.key", "{home}/a.key", "../files/.gtmc/a.key"),
        *("hard", "pipe", "keys", ".", "round", "nothing", "", "a" * 5000, "../files-beside/a.key", "a\0.key"),
        *("/proc/self/environ", "/proc/self/root{private}/a.key", "/proc/self/cwd/a.key", "/dev/stdin", "/etc/passwd"),
        *("../secrets/../private/a.key", "~/a.key", "file://{private}/a.key", "inside/../../private/a.key"),
    ],
)
def test_no_path_leads_anywhere_else(place: Place, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.private)
    with pytest.raises(Unreachable) as refused:
        place.reach().text_of(where.format(private=place.private, home=place.home))
    assert CANARY not in str(refused.value)


def test_without_a_folder_of_secrets_and_from_stdin_there_is_less(place: Place) -> None:
    for reach, where in (
        (place.reach(with_secrets=False), f"{place.secrets}/a.key"),
        (Reach(None, place.home), f"{place.folder}/keys/a.key"),
        (Reach(place.home, place.home), "a.key"),
        (Reach(Path("/proc/self"), place.home, Path("/proc")), "environ"),
    ):
        with pytest.raises(Unreachable):
            reach.text_of(where)


STEPS = st.sampled_from(
    [
        "..",
        ".",
        "keys",
        ".gtmc",
        "to-folder",
        "to-home",
        "inside",
        "files",
        "private",
        "secrets",
        "a.key",
        "to-file",
        "/",
    ]
)


@given(st.lists(STEPS, max_size=8), st.booleans())
def test_whatever_path_is_made_of_these_what_is_read_lies_where_it_may(
    place: Place, steps: list[str], is_absolute: bool
) -> None:
    where = "/".join(([str(place.root)] if is_absolute else []) + steps)
    try:
        place.reach().text_of(where)
    except Unreachable:
        return
    candidates = [(root / where) for root in (place.folder, place.secrets) if (root / where).exists()]
    real = candidates[0].resolve()
    assert real.is_relative_to(place.folder) or real.is_relative_to(place.secrets)
    assert not real.is_relative_to(place.home)


def test_a_file_that_is_exchanged_while_it_is_read_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = place.folder / "swapped"
    swapped.write_text("mine")
    opening: Callable[..., int] = os.open

    def exchange(path: str, flags: int) -> int:
        Path(path).unlink()
        Path(path).symlink_to(place.private / "a.key")
        return opening(path, flags)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(Unreachable):
        place.reach().text_of("swapped")


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "HOME", "GTMC_SECRET", "GTMC_SECRET_", "gtmc_secret_x"),
        *("XGTMC_SECRET_A", "GTMC_SECRET_A B", "GTMC_SECRET_A\n"),
        *map(variable_of, Settings.model_fields),
    ],
)
def test_variables_are_named_by_the_prefix_or_allowed_and_ours_never(place: Place, name: str) -> None:
    assert not place.reach().may_name(name)
    allowed = Reach(place.folder, place.home, None, frozenset({name}))
    assert allowed.may_name(name) is (name not in set(map(variable_of, Settings.model_fields)))


@given(st.text(max_size=30), st.text(max_size=30))
def test_exported_names_may_be_referred_to(tenant: str, name: str) -> None:
    assert is_for_secrets(secret_variable(tenant, "fathom", name))


def test_a_reference_tells_its_place_and_nothing_of_the_value(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTMC_SECRET_ONE", CANARY)
    for kind, where in (("env", "GTMC_SECRET_ONE"), ("file", "keys/a.key")):
        reference = Reference(kind, where, 1, 1, place.reach())
        assert reference.resolve().reveal() == CANARY
        assert where in reference.shown
        assert CANARY not in f"{reference.shown}{reference}{reference.resolve()}"
