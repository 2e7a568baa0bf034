"""What git keeps: no secrets, no addresses of one machine, nothing large."""

from __future__ import annotations

import re
from pathlib import Path

from gtmc_pipelines_tests.house import rules
from gtmc_pipelines_tests.house.each_of import every

MOST_BYTES = 1_000_000
BINARY = {".png", ".jpg", ".gif", ".ico", ".gz", ".xz", ".woff2"}
MACHINE_PATH = re.compile(r"(?<![\w.$}{/-])/(?:home|Users|work|root)/[\w.-]+")
REGISTRY = re.compile(
    r"--(?:extra-)?index-url|--trusted-host|(?i:artifactory|nexus)[\w.-]*\.\w+|\b(?:10|192\.168)\.\d+\.\d+\.?\d*:\d{2,5}"
)
SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64,}"),
    "an AWS key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20,}"),
    "a Salesforce session": re.compile(r"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}"),
    "a signed token": re.compile(r"\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    "an encryption key": re.compile(r"CONNECTOR_ENCRYPTION_KEY\s*[=:]\s*[\"']?[0-9a-fA-F]{64}"),
}

FILES = rules.tracked_files()
TEXTS = [path for path in FILES if path.suffix not in BINARY]


def shown(path: Path) -> str:
    return path.relative_to(rules.ROOT).as_posix()


def lines_with(pattern: re.Pattern[str], path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        f"{shown(path)}:{number} {line.strip()[:80]}" for number, line in enumerate(lines, 1) if pattern.search(line)
    ]


@every(TEXTS)
def test_no_file_names_a_path_of_one_machine(path: Path) -> None:
    found = lines_with(MACHINE_PATH, path)
    assert not found, "\n".join(found)


@every([path for path in TEXTS if "house" not in path.parts])
def test_no_file_names_a_package_index(path: Path) -> None:
    found = lines_with(REGISTRY, path)
    assert not found, "\n".join(found)


@every(TEXTS)
def test_no_file_holds_a_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [name for name, pattern in SECRETS.items() if pattern.search(text)]
    assert not found, f"{shown(path)} holds {', '.join(found)}."


@every(FILES)
def test_no_file_is_large_enough_to_be_data(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES, f"{shown(path)} has {path.stat().st_size:,} bytes."


def test_no_file_of_the_environment_or_the_stack_is_tracked() -> None:
    private = [shown(path) for path in FILES if path.name in (".env", "stack.json") or ".gtmc" in path.parts]
    assert private == []


def test_every_locked_package_is_pinned_with_the_hashes_of_its_files() -> None:
    lock = (rules.ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", "")
    packages = [line for line in lock.splitlines() if line and not line.startswith("#")]
    assert packages
    assert [line.split()[0] for line in packages if "==" not in line.split()[0] or "--hash=sha256:" not in line] == []
    assert "--require-hashes" in (rules.ROOT / "Makefile").read_text(encoding="utf-8")
