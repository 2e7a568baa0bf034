"""What the README says is so: its length, its variables, its commands and its links."""

import re
from importlib import import_module

import typer
from typer.main import get_group

from gtmc_pipelines.cli.main import COMMANDS
from gtmc_pipelines_tests.house.readme_tables import README, environment_table, environment_table_in

TEXT = README.read_text()


def _commands() -> set[str]:
    part = typer.Typer()
    for module in dict.fromkeys(COMMANDS.values()):
        import_module(f"gtmc_pipelines.cli.{module}").register(part)
    found = set()
    for name, command in get_group(part).commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {child}" for child in below} if below else {name}
    return found


def test_the_readme_stays_under_two_hundred_lines() -> None:
    assert len(TEXT.splitlines()) < 200


def test_the_readme_lists_every_environment_variable_as_the_settings_have_it() -> None:
    assert environment_table_in(TEXT).strip() == environment_table().strip(), (
        "mend it with: python -m gtmc_pipelines_tests.house.readme_tables"
    )


def test_the_command_line_offers_exactly_the_commands_its_files_register() -> None:
    assert {command.partition(" ")[0] for command in _commands()} == set(COMMANDS)


def test_every_command_the_readme_names_exists() -> None:
    named = set()
    for line in re.findall(r"^\| `gtmc ([^|`]+(?:\\\|[^|`]+)*)`", TEXT, flags=re.MULTILINE):
        head, _, children = line.partition(" ")
        named |= {f"{head} {child}" for child in children.split("\\|")} if children else {head}
    assert named
    assert named <= _commands()


def test_every_file_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target
