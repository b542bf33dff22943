"""When a search in this knowledge base counts as weak, as it was measured, release by release.

`thresholds.json` holds for the knowledge base as it was ingested, `releases/000001.thresholds.json`
for a release; scores mean something else in every embedder.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from langchain_graft.durable import write_durably
from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.retrievers.weakness import Weakness

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_graft.knowledge_base.release import Release

NAME = "thresholds.json"


def read_weakness(folder: Path, release: Release) -> Weakness | None:
    """The thresholds that hold for a release; None when nothing was measured.

    Raises:
        KnowledgeBaseError: The file is damaged.
    """
    path = _path(folder, release)
    try:
        return Weakness.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None if release.thresholds is None else Weakness.from_json(release.thresholds)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{str(path)!r} can not be used ({error}). Remove it, or calibrate again"
        raise KnowledgeBaseError(msg) from error


def write_weakness(folder: Path, release: Release, weakness: Weakness) -> None:
    """Keep thresholds of a release; a reader sees the old ones or the new ones.

    Raises:
        KnowledgeBaseError: The folder can not be written.
    """
    data = json.dumps(asdict(weakness), indent=2).encode()
    try:
        write_durably(_path(folder, release), data)
    except OSError as error:
        msg = f"Can not write to {str(folder)!r}: {error.strerror or error}"
        raise KnowledgeBaseError(msg) from error


def _path(folder: Path, release: Release) -> Path:
    return folder / "releases" / f"{release.number:06}.{NAME}" if release.number else folder / NAME
