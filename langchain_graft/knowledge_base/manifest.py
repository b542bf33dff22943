"""`kb.json`: what a knowledge base is, and which generation of its indexes is the current one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_graft import __version__
from langchain_graft.errors import FormatVersionError, KnowledgeBaseError, NotAKnowledgeBaseError
from langchain_graft.knowledge_base.settings import IngestSettings

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
NAME = "kb.json"
JOURNAL = "journal.sqlite"
GRAPH = "graph.sqlite"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of `kb.json`; it is replaced as a whole, never changed in place."""

    embeddings: str | None
    """The embedder's name for `load_embeddings`; None: an object has to be given when opening."""
    embeddings_digest: str
    generation: int = 0
    """Counts the published states of the indexes; 0: nothing is published yet."""
    chunks: int | None = None
    """How many are in the indexes; None: not said."""
    settings: IngestSettings = field(default_factory=IngestSettings)

    def write(self, folder: Path) -> None:
        """Replace the folder's `kb.json`; a reader sees the old one or the new one."""
        values = {
            "format": FORMAT,
            "written_by": __version__,
            "generation": self.generation,
            "chunks": self.chunks,
            "embeddings": self.embeddings,
            "embeddings_digest": self.embeddings_digest,
            "settings": self.settings.to_json(),
        }
        temporary = folder / f"{NAME}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)


def read_manifest(folder: Path) -> Manifest:
    """The folder's `kb.json`.

    Raises:
        NotAKnowledgeBaseError: There is none.
        FormatVersionError: A newer version wrote it.
        KnowledgeBaseError: It is damaged.
    """
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if values["format"] > FORMAT:
            raise FormatVersionError(
                str(folder),
                found=values["format"],
                supported=FORMAT,
                written_by=values.get("written_by", "?"),
            )
        if not isinstance(values["generation"], int) or values["generation"] < 0:
            msg = f"generation {values['generation']!r}"
            raise ValueError(msg)  # noqa: TRY301
        return Manifest(
            embeddings=values["embeddings"],
            embeddings_digest=values["embeddings_digest"],
            generation=values["generation"],
            chunks=values.get("chunks"),
            settings=IngestSettings.from_json(values["settings"]),
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotAKnowledgeBaseError(str(folder)) from error
    except OSError as error:
        msg = f"Can not read {str(folder / NAME)!r}: {error.strerror}. Mend it and do it again"
        raise KnowledgeBaseError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{str(folder / NAME)!r} is damaged ({error}). Restore it from a backup, or remove the "
            "folder and ingest again"
        )
        raise KnowledgeBaseError(msg) from error


def generation_folder(folder: Path, generation: int) -> Path:
    """Where the indexes of a generation lie."""
    return folder / "generations" / f"{generation:06}"
