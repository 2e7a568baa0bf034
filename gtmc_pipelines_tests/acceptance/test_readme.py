"""What connectors/README.md says of the suite and of the vendors' errors is what the code does."""

import re

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.acceptance.error_rows import ErrorRow, error_rows
from gtmc_pipelines_tests.acceptance.readme import README, mended

TEXT = README.read_text()
ROWS = error_rows()
LEAVES = {"Retry", "Defer", "Reauthorize", "Broken"}


def test_its_tables_are_those_the_code_gives() -> None:
    assert mended(TEXT) == TEXT, "mend them with: python -m gtmc_pipelines_tests.acceptance.readme"


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_every_vendor_has_its_errors_in_the_table() -> None:
    assert {row.vendor for row in ROWS} == set(ConnectorType)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.vendor.value}-{row.answer}")
def test_an_error_says_in_a_sentence_what_happened_and_what_to_do(row: ErrorRow) -> None:
    assert row.leaf in LEAVES
    assert re.fullmatch(r"[a-z][a-z0-9_]+", row.fault.code)
    assert row.fault.sentence.endswith(".")
    assert row.fault.sentence.startswith((row.vendor.label.removesuffix(".video"), "Microsoft"))
    assert row.next_step.endswith("."), row.next_step
