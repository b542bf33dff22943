"""The ids under which files are kept, and which folder a document came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_graft.knowledge_base.journal import SourceRecord
    from langchain_graft.knowledge_base.sources import FileSource


def source_names(
    sources: Sequence[FileSource], known: Mapping[str, SourceRecord]
) -> dict[str, str]:
    """The id under which each file is kept, by its origin: the path below the folder asked for.

    A file that is known keeps its id. Where another file, which is still there, has that id, the
    name of the folder above is put before it, and at last the whole path.
    """
    by_origin = {record.origin: name for name, record in known.items()}
    names = {s.origin: by_origin[s.origin] for s in sources if s.origin in by_origin}
    taken = {*names.values(), *(name for name, record in known.items() if not is_gone(record))}
    for source in sources:
        if source.origin not in names:
            above = Path(source.root or source.path.parent).name
            candidates = [source.name, f"{above}/{source.name}", source.origin]
            name = next((name for name in candidates if name not in taken), source.origin)
            names[source.origin] = name
            taken.add(name)
    return names


def is_gone(record: SourceRecord) -> bool:
    """Whether a document was read from a file that is there no longer."""
    origin = Path(record.origin)
    try:
        origin.stat()
    except (FileNotFoundError, NotADirectoryError):
        return origin.is_absolute()
    except OSError:  # not ours to see
        return False
    return False


def belongs(record: SourceRecord, roots: Iterable[str]) -> bool:
    """Whether a document came from one of these folders, or from a folder above or below it."""
    if record.root in roots:
        return True
    is_file = Path(record.root).is_absolute()
    return is_file and any(Path(record.origin).is_relative_to(root) for root in roots)
