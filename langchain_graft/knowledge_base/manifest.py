"""`kb.json`: what a knowledge base is, and which release, generation and embedder serve now.

It is the one pointer: release, generation of the indexes and embedder stand in it together, and it
is replaced as a whole, so that no reader ever meets the vectors of one release with the embedder of
another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_graft import __version__
from langchain_graft.durable import write_durably
from langchain_graft.errors import FormatVersionError, KnowledgeBaseError, NotAKnowledgeBaseError
from langchain_graft.knowledge_base.settings import IngestSettings

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
"""With releases; before the first promotion `kb.json` is written as format 1, which has none."""
NAME = "kb.json"
JOURNAL = "journal.sqlite"
ADAPTERS = "adapters"
GRAPH = "graph.sqlite"
_OF_RELEASES = {
    "embeddings_adapter": str,
    "release": int,
    "releases": int,
    "kept_generation": int,
    "kept_digest": str,
}


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
    embeddings_adapter: str | None = None
    """The adapter on the embedder, as `name@000003`; None: the embedder as it is."""
    release: int = 0
    """The release that serves; 0: as it was ingested."""
    releases: int = 0
    """How many promotions there were; what a killed one left has a higher number."""
    kept_generation: int | None = None
    """The generation of another embedder that is kept to go back to."""
    kept_digest: str | None = None
    """Whose vectors the kept generation holds."""
    settings: IngestSettings = field(default_factory=IngestSettings)

    @property
    def next_generation(self) -> int:
        """The number of a new generation; none that was ever published has it."""
        return max(self.generation, self.kept_generation or 0) + 1

    def write(self, folder: Path) -> None:
        """Replace the folder's `kb.json`, under its lock; readers see the old or the new one."""
        values: dict[str, Any] = {
            "format": FORMAT if self.releases else 1,
            "written_by": __version__,
            "generation": self.generation,
            "chunks": self.chunks,
            "embeddings": self.embeddings,
            "embeddings_digest": self.embeddings_digest,
            "settings": self.settings.to_json(),
        }
        if self.releases:
            values |= {name: getattr(self, name) for name in _OF_RELEASES}
        data = json.dumps(values, indent=2, ensure_ascii=False).encode()
        write_durably(folder / NAME, data, alone=True)


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
            **_of_releases(values),
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


def _of_releases(values: dict[str, Any]) -> dict[str, Any]:
    """What is said of releases; nothing is, where there are none.

    Raises:
        TypeError: A value is of the wrong kind.
    """
    found = {name: values[name] for name in _OF_RELEASES if values.get(name) is not None}
    for name, value in found.items():
        if type(value) is not _OF_RELEASES[name]:
            msg = f"{name} {value!r}"
            raise TypeError(msg)
    return found


def generation_folder(folder: Path, generation: int) -> Path:
    """Where the indexes of a generation lie."""
    return folder / "generations" / f"{generation:06}"
