"""Files with the same content: one of them is indexed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from langchain_graft.knowledge_base.names import is_gone
from langchain_graft.knowledge_base.sources import FileSource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from langchain_graft.knowledge_base.journal import SourceRecord


class Content(NamedTuple):
    """What two files have in common that are duplicates."""

    digest: str
    """Sha256 of the bytes; '' when they can not be read, which the reader will explain."""
    kind: str
    """The file's ending: the same bytes are another document to another reader."""


def content_of(path: Path) -> Content:
    """A file's content."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        digest = ""
    return Content(digest, path.suffix.lower())


def holders(
    contents: Mapping[str, Content], known: Mapping[str, SourceRecord]
) -> dict[Content, str]:
    """The document under which each content is indexed.

    One that is indexed already and still there keeps its place, so that it does not matter in which
    order folders are ingested; else it is the first.

    Args:
        contents: What the files of this run hold now, by id, in order.
        known: All documents of the journal.
    """
    wanted = set(contents.values())
    found: dict[Content, str] = {}
    for name, record in known.items():
        content = Content(record.digest, Path(record.origin).suffix.lower())
        if record.state == "ready" and content in wanted and content not in found:
            is_there = contents[name] == content if name in contents else not is_gone(record)
            if is_there:
                found[content] = name
    for name, content in contents.items():
        found.setdefault(content, name)
    return found


def duplicates_of(
    names: Collection[str], known: Mapping[str, SourceRecord]
) -> dict[str, FileSource]:
    """The files, still there, that are not indexed because one of these documents was."""
    return {
        name: FileSource(name=name, path=Path(record.origin), root=record.root)
        for name, record in known.items()
        if record.state == "duplicate" and record.detail in names and not is_gone(record)
    }
