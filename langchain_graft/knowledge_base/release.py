"""A release: what answers together, under one number."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_graft.durable import sync_folder, write_durably
from langchain_graft.errors import ReleaseError
from langchain_graft.knowledge_base.lock import writes
from langchain_graft.knowledge_base.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_graft.knowledge_base.manifest import Manifest

NOT_CHECKED = "not checked"
_TYPES = {
    **dict.fromkeys(("number", "generation"), int),
    **dict.fromkeys(("embeddings_digest", "checked", "why", "created"), str),
    **dict.fromkeys(("embeddings", "embeddings_adapter"), str | None),
    **dict.fromkeys(("generator", "generator_adapter"), str | None),
    "prompts": dict,
    "thresholds": dict | None,
    "forced": bool,
    "former": int | None,
}


@dataclass(frozen=True, kw_only=True)
class Release:
    """Embedder, collection, generator, prompts and thresholds that belong together.

    It is written once, as `releases/000001.json`, and never changed. Which one serves is said in
    `kb.json` alone, together with the generation and the embedder, so that no reader ever sees half
    of one release and half of another.
    """

    number: int
    """Counts the promotions; 0 is the knowledge base as it was ingested."""
    embeddings: str | None
    """The embedder's name for `load_embeddings`; None: an object is given when opening."""
    embeddings_digest: str
    """Of the documents' vectors."""
    generation: int
    """With which it began; what is ingested while it serves makes newer ones."""
    embeddings_adapter: str | None = None
    """The adapter on the embedder, as `name@000003`."""
    generator: str | None = None
    """The chat model's name for `load_chat_model`; None: whichever is asked for."""
    generator_adapter: str | None = None
    """The adapter on the chat model, as `name@000003`."""
    prompts: dict[str, str] = field(default_factory=dict)
    """Wording that goes with it, by name; none: the chains' own."""
    thresholds: dict[str, float | None] | None = None
    """When a search counts as weak (`Weakness`), as was measured when it was made."""
    checked: str = NOT_CHECKED
    """What was found when it was compared with the former one."""
    forced: bool = False
    """It was made although it is not better."""
    why: str = ""
    """What it was made for."""
    created: str = ""
    """When (ISO 8601, UTC)."""
    former: int | None = None
    """The release that `rollback` goes back to; None: it is the first."""

    @property
    def adapters(self) -> list[str]:
        """The adapters that it needs."""
        return [one for one in (self.embeddings_adapter, self.generator_adapter) if one]

    def write(self, folder: Path) -> None:
        """Write it into the knowledge base in a folder, whole or not at all.

        Raises:
            KnowledgeBaseError: It can not be written.
        """
        path = _path(folder, self.number)
        data = json.dumps(asdict(self), indent=2, ensure_ascii=False).encode()
        with writes(folder):
            path.parent.mkdir(exist_ok=True)
            sync_folder(folder)
            write_durably(path, data, alone=True)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Of JSON values; names that this version does not know are passed over.

        Raises:
            TypeError: A value is missing or of the wrong kind.
        """
        known = {part.name: values[part.name] for part in fields(cls) if part.name in values}
        for name, value in known.items():
            if not isinstance(value, _TYPES[name]):
                msg = f"{name!r} is {value!r:.80}"
                raise TypeError(msg)
        return cls(**known)


def now() -> str:
    """The time as releases have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def current_release(folder: Path, manifest: Manifest | None = None) -> Release:
    """The release that serves.

    Args:
        folder: The knowledge base.
        manifest: Its `kb.json`, if it has been read.

    Raises:
        ReleaseError: Its file is gone or damaged.
    """
    manifest = manifest or read_manifest(folder)
    return read_release(folder, manifest.release, manifest)


def read_release(folder: Path, number: int, manifest: Manifest | None = None) -> Release:
    """A release by its number.

    Args:
        folder: The knowledge base.
        number: The release's.
        manifest: Its `kb.json`, if it has been read.

    Raises:
        ReleaseError: There is none of that number, or its file is damaged.
    """
    manifest = manifest or read_manifest(folder)
    if not manifest.releases and not number:
        return Release(
            number=0,
            embeddings=manifest.embeddings,
            embeddings_digest=manifest.embeddings_digest,
            generation=manifest.generation,
            why="as it was ingested",
        )
    if not 0 <= number <= manifest.releases:
        msg = f"No release {number}: there are 0 to {manifest.releases}. See `graft releases list`"
        raise ReleaseError(msg)
    path = _path(folder, number)
    try:
        return Release.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = (
            f"The release in {str(path)!r} can not be read ({error}). Restore the file from a "
            "backup; what serves now is not touched"
        )
        raise ReleaseError(msg) from error


def list_releases(folder: Path | str) -> list[Release]:
    """All releases of the knowledge base in a folder, the newest first; no model is loaded.

    Raises:
        NotAKnowledgeBaseError: There is none.
        ReleaseError: A file is gone or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    return [read_release(folder, n, manifest) for n in range(manifest.releases, -1, -1)]


def reachable(folder: Path) -> Iterator[Release]:
    """The release that serves, and those that one rollback after another comes to."""
    manifest = read_manifest(folder)
    number: int | None = manifest.release
    while number is not None:
        release = read_release(folder, number, manifest)
        yield release
        number = release.former


def _path(folder: Path, number: int) -> Path:
    return folder / "releases" / f"{number:06}.json"
