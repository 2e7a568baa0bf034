"""Code references: the files behind an asset, which the UI opens in an editor."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg

from gtmc_pipelines.model.connector_types import ConnectorType

_PACKAGE = Path(__file__).parents[1]
_OP = _PACKAGE / "defs" / "run_body.py"


def code_references(connector: ConnectorType, file: str, label: str) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Metadata that leads to a file of the connector's folder, and to what a run does."""
    places = ((_PACKAGE / "connectors" / str(connector) / file, label), (_OP, "what a run does"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        references = [
            dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=said) for path, said in places
        ]
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}
