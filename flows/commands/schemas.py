"""The published schemas: what users write (``audit``) and what a run leaves behind (``run``, ``results``).

``python -m flows.commands.schemas FOLDER`` writes them as ``<name>.schema.json``.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel

from pipeline.config import CONFIG_VERSION, AuditConfig
from pipeline.files import written
from pipeline.findings.results import SCHEMA_VERSION, Results
from pipeline.findings.spec import SPEC_VERSION, RunSpec

__all__ = ["PUBLISHED", "PublishedSchema", "schema_text", "write_schemas"]


@dataclass(frozen=True)
class PublishedSchema:
    """A document's model, its version, and whether camaudit writes it (else users do, who may leave out defaults)."""

    model: type[BaseModel]
    version: int
    is_output: bool


PUBLISHED: Mapping[str, PublishedSchema] = MappingProxyType(
    {
        "audit": PublishedSchema(AuditConfig, CONFIG_VERSION, is_output=False),
        "run": PublishedSchema(RunSpec, SPEC_VERSION, is_output=True),
        "results": PublishedSchema(Results, SCHEMA_VERSION, is_output=True),
    }
)


def schema_text(name: str) -> str:
    """Return a published schema as JSON Schema (draft 2020-12), with its version in ``$id``.

    Raises:
        KeyError: for a name that is not among ``PUBLISHED``.
    """
    published = PUBLISHED[name]
    content = published.model.model_json_schema(mode="serialization" if published.is_output else "validation")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:camaudit:schema:{name}:{published.version}",
    }
    return json.dumps({**head, **content}, indent=1, sort_keys=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write every published schema.

    Raises:
        OutputError: when the folder cannot be written.
    """
    for name in PUBLISHED:
        with written(folder / f"{name}.schema.json") as file:
            file.write(schema_text(name).encode())


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
