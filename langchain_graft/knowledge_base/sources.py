"""What is to be ingested: files below folders, BEIR folders, documents of LangChain loaders."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import SourceError
from langchain_graft.evaluation.datasets import load_beir_corpus
from langchain_graft.knowledge_base.manifest import JOURNAL, NAME
from langchain_graft.knowledge_base.readers import SUFFIXES, ReadDocument, Section
from langchain_graft.knowledge_base.readers.section import OUR_METADATA
from langchain_graft.knowledge_base.readers.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.documents import Document

_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules"})
_HALF = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # the rest stands for bytes of a file's name


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file that is to be read."""

    name: str
    """Its path below the folder that was asked for, or its name; "/" between the parts."""
    path: Path
    root: str
    """The folder that was asked for; '' when the file was named itself."""

    @property
    def origin(self) -> str:
        """The file's absolute path."""
        return str(self.path)


@dataclass(frozen=True, kw_only=True)
class RecordSource:
    """A document that is here already: of a BEIR corpus, or of a LangChain loader."""

    name: str
    origin: str
    root: str
    document: ReadDocument

    @property
    def digest(self) -> str:
        """Sha256 of all that it says."""
        return hashlib.sha256(json.dumps(asdict(self.document)).encode()).hexdigest()


@dataclass
class Found:
    """What a walk over folders found."""

    files: list[FileSource] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that can not be read, by their ending."""
    unreadable: list[tuple[FileSource, str]] = field(default_factory=list)
    """What is no file, and folders that could not be opened; and why."""
    roots: set[str] = field(default_factory=set)
    """Folders that were walked to the end."""


def find_files(paths: Iterable[Path]) -> Found:
    """All readable files below the folders, and the files named themselves, each once.

    Hidden files and folders are passed over, and folders of knowledge bases. Links are followed, a
    folder that was seen is not entered again.

    Raises:
        FileNotFoundError: A path that was named does not exist.
    """
    found = Found()
    for path in paths:
        absolute = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100
        if absolute.is_dir():
            found.roots.add(str(absolute))
            _walk(absolute, found)
        elif absolute.exists():
            _add(FileSource(name=absolute.name, path=absolute, root=""), found)
        else:
            msg = f"No such file or folder: {str(path)!r}"
            raise FileNotFoundError(msg)
    once = {source.origin: source for source in reversed(found.files)}
    found.files = sorted(once.values(), key=lambda source: source.origin)
    return found


def _walk(root: Path, found: Found) -> None:
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        folder = _below(root, Path(error.filename))
        found.unreadable.append((folder, f"the folder can not be opened: {error.strerror}"))
        found.roots.discard(str(root))

    for folder, names, files in os.walk(root, followlinks=True, onerror=note):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen or {NAME, JOURNAL} <= set(files):
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in _IGNORED_FOLDERS)
        for name in sorted(files):
            path = Path(folder) / name
            if name.startswith((".", "~$")):
                continue
            if path.suffix.lower() not in SUFFIXES:
                found.skipped[path.suffix.lower() or "(none)"] += 1
                continue
            _add(_below(root, path), found)


def _below(root: Path, path: Path) -> FileSource:
    return FileSource(name=path.relative_to(root).as_posix(), path=path, root=str(root))


def _add(source: FileSource, found: Found) -> None:
    if not _is_text(source.origin):
        told = FileSource(
            name=_as_text(source.name),
            path=Path(_as_text(source.origin)),
            root=_as_text(source.root),
        )
        found.unreadable.append((told, "its name is not UTF-8. Rename it"))
    elif source.path.is_file():
        found.files.append(source)
    elif source.path.exists():
        found.unreadable.append((source, "it is a pipe or device, no file. Remove it"))
    else:
        found.unreadable.append((source, "it is a link to nothing. Mend or remove it"))


def _is_text(name: str) -> bool:
    return _as_text(name) == name


def _as_text(name: str) -> str:
    """A name as it can be kept; bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def beir_sources(folder: Path) -> Iterator[RecordSource]:
    """The documents of a BEIR folder, each under its own id.

    Raises:
        EvaluationDataError: The corpus is missing or not as promised.
    """
    root = beir_root(folder)
    for id_, title, text in load_beir_corpus(folder):
        document = ReadDocument(sections=[Section(text=clean(text))], title=title or None)
        yield RecordSource(name=id_, origin=f"{root}#{id_}", root=root, document=document)


def beir_root(folder: Path) -> str:
    """The name under which a BEIR folder's documents belong together."""
    return f"beir:{folder.resolve()}"


def document_sources(documents: Iterable[Document], *, root: str = "") -> Iterator[RecordSource]:
    """Documents of a LangChain loader; those with the same `metadata["source"]` are one source.

    Args:
        documents: Without a source in their metadata they need an id.
        root: What they belong to: what a later run of the same root lacks is removed. '': nothing.
    """
    with closing(
        sqlite3.connect("", check_same_thread=False)
    ) as spool:  # on disk, removed by itself
        spool.execute("CREATE TABLE parts(source TEXT, part TEXT)")
        spool.executemany("INSERT INTO parts VALUES (?, ?)", map(_as_row, documents))
        rows = spool.execute("SELECT source, part FROM parts ORDER BY source, rowid")
        for source, group in itertools.groupby(rows, key=itemgetter(0)):
            parts = [json.loads(part) for _, part in group]
            first = parts[0][1]
            document = ReadDocument(
                sections=[_section(text, metadata) for text, metadata in parts],
                title=_told(first, "title"),
                date=_told(first, "date"),
                language=_told(first, "language"),
            )
            yield RecordSource(name=source, origin=source, root=root, document=document)


def _as_row(document: Document) -> tuple[str, str]:
    source = document.metadata.get("source") or document.id
    if source is None:
        msg = "a loader's document needs metadata['source'] or an id, to be known again"
        raise SourceError(msg)
    content = json.dumps([document.page_content, document.metadata], default=str)
    return _as_text(_HALF.sub("", str(source))), content


def _section(text: str, metadata: Mapping[str, Any]) -> Section:
    """A loader's document; loaders count pages and rows from 0."""
    page, row = metadata.get("page"), metadata.get("row")
    return Section(
        text=clean(text),
        pages=((0, page + 1),) if isinstance(page, int) else (),
        row=row + 1 if isinstance(row, int) else None,
        question=_told(metadata, "question"),
        metadata={
            clean(key): clean(value) if isinstance(value, str) else value
            for key, value in metadata.items()
            if key not in OUR_METADATA and isinstance(value, str | int | float | bool)
        },
    )


def _told(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    return None if value is None else clean(str(value)) or None
