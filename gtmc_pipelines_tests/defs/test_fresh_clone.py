"""Dagster's own tools take the repository as it is cloned: nothing set, nothing running, nothing installed but us."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from gtmc_pipelines_tests.house.rules import ROOT


def test_the_definitions_validate_without_any_variable_or_service(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "workspace.yaml", "gtmc_pipelines"):
        place = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        place(ROOT / name, tmp_path / name)
    assert not (ROOT / "dagster.yaml").exists(), "in the root, `dagster` and `dg` would want its database"
    command = [str(Path(sys.executable).parent / "dagster"), "definitions", "validate"]
    empty = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=empty, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "All code locations passed validation" in done.stdout + done.stderr
