"""Tables that can be read at any width, and what changed in few words."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from gtmc_pipelines.cli import console as console_module
from gtmc_pipelines.cli.audit_log import in_words
from gtmc_pipelines.cli.console import emit

ROWS = [
    {
        "tenant": "northwind",
        "type": "salesforce",
        "id": "3b7e5f8c-d906-498e-aa70-cdcb7a137397",
        "records": 7140,
        "is_sound": True,
        "at": datetime(2026, 1, 31, 6, 30, tzinfo=UTC),
        "why": "The token was revoked; connect it again with the command that is named below",
    }
]
COLUMNS = ("tenant", "type", "id", "records", "is_sound", "at", "why")


def _shown(monkeypatch: pytest.MonkeyPatch, width: int, rows: list[dict[str, object]], **options: str) -> str:
    written = StringIO()
    monkeypatch.setattr(console_module, "console", Console(file=written, width=width))
    emit(rows, COLUMNS, as_json=False, **options)
    return written.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_word_of_a_table_is_broken_whatever_the_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    shown = _shown(monkeypatch, width, [dict(row) for row in ROWS], title="connectors")
    words = {"northwind", "salesforce", "7,140", "yes", "2026-01-31", "06:30:00", *str(ROWS[0]["why"]).split()}
    if width > 40:
        words.add(str(ROWS[0]["id"]))
    assert words <= set(shown.split())
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())


def test_a_wide_terminal_has_a_line_a_row_and_a_narrow_one_a_line_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = _shown(monkeypatch, 200, [dict(row) for row in ROWS])
    narrow = _shown(monkeypatch, 60, [dict(row) for row in ROWS])
    assert len(wide.splitlines()) == 3
    assert [line.split("  ")[0] for line in narrow.splitlines() if line[:1].strip()] == [
        name.replace("_", " ") for name in COLUMNS
    ]


def test_an_empty_table_says_so_and_what_fills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(monkeypatch, 80, [], title="connectors", when_none="Add one: gtmc connectors add --tenant <id>")
    assert shown.split("\n")[:2] == ["connectors: none", "  Add one: gtmc connectors add --tenant <id>"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"before": {"cron": None, "timezone": "UTC"}, "after": {"cron": "0 6 * * *", "timezone": "UTC"}},
            "cron: none → 0 6 * * *",
        ),
        ({"before": [{"sourceField": "Name"}], "after": None}, "entries: 1 in all → none"),
        (
            {"after": {"mode": "full", "sync_log": "580ad5d3-2843-4d8b-a5b0-41c77134e5cd"}},
            "mode: full; sync_log: 580ad5d3",
        ),
        ({"before": {"domains": []}, "after": {"domains": ["partner.com"]}}, "domains: 0 in all → partner.com"),
        ({"erased": {"people": 1, "activities": 12}}, "erased: people 1, activities 12"),
    ],
)
def test_a_change_is_told_in_few_words(changes: dict[str, object], told: str) -> None:
    assert in_words(changes) == told
