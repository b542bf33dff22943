"""`thresholds.json`: when a search in this knowledge base counts as weak, as it was measured."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.retrievers.weakness import Weakness

if TYPE_CHECKING:
    from pathlib import Path

NAME = "thresholds.json"


def read_weakness(folder: Path) -> Weakness | None:
    """The thresholds that were kept in a folder; None when nothing was measured there.

    Raises:
        KnowledgeBaseError: The file is damaged.
    """
    try:
        return Weakness.from_json(json.loads((folder / NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{str(folder / NAME)!r} can not be used ({error}). Remove it, or calibrate again"
        raise KnowledgeBaseError(msg) from error


def write_weakness(folder: Path, weakness: Weakness) -> None:
    """Keep thresholds in a folder; a reader sees the old ones or the new ones.

    Raises:
        KnowledgeBaseError: The folder can not be written.
    """
    temporary = folder / f"{NAME}.{os.getpid()}.new"
    try:
        temporary.write_text(json.dumps(asdict(weakness), indent=2), encoding="utf-8")
        temporary.replace(folder / NAME)
    except OSError as error:
        msg = f"Can not write to {str(folder)!r}: {error.strerror or error}"
        raise KnowledgeBaseError(msg) from error
