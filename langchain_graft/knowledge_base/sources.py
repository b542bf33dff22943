"""What is to be ingested: files below folders, BEIR folders, documents of LangChain loaders."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import SourceError
from langchain_graft.evaluation.datasets import load_beir_corpus
from langchain_graft.knowledge_base.readers import SUFFIXES, ReadDocument, Section
from langchain_graft.knowledge_base.readers.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.documents import Document

_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules"})


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
        content = [
            [section.text, section.heading, section.question] for section in self.document.sections
        ]
        text = json.dumps([content, self.document.title, self.document.metadata], default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Found:
    """What a walk over folders found."""

    files: list[FileSource] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that can not be read, by their ending."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Folders that could not be opened, and why."""
    roots: set[str] = field(default_factory=set)
    """Folders that were walked to the end."""


def find_files(paths: Iterable[Path]) -> Found:
    """All readable files below the folders, and the files named themselves, each once.

    Hidden files and folders are passed over. Links are followed, a folder that was seen is not
    entered again.

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
            found.files.append(FileSource(name=absolute.name, path=absolute, root=""))
        else:
            msg = f"No such file or folder: {str(path)!r}"
            raise FileNotFoundError(msg)
    once = {source.origin: source for source in reversed(found.files)}
    found.files = sorted(once.values(), key=lambda source: source.origin)
    return found


def _walk(root: Path, found: Found) -> None:
    seen: set[tuple[int, int]] = set()

    def note(error: OSError) -> None:
        found.unreadable.append((str(error.filename), error.strerror or str(error)))

    for folder, names, files in os.walk(root, followlinks=True, onerror=note):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
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
            below = path.relative_to(root).as_posix()
            found.files.append(FileSource(name=below, path=path, root=str(root)))


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
    by_source: dict[str, list[Document]] = {}
    for document in documents:
        source = document.metadata.get("source") or document.id
        if source is None:
            msg = "a loader's document needs metadata['source'] or an id, to be known again"
            raise SourceError(msg)
        by_source.setdefault(str(source), []).append(document)
    for source, parts in by_source.items():
        first = parts[0].metadata
        yield RecordSource(
            name=source,
            origin=source,
            root=root,
            document=ReadDocument(
                sections=[_section(part) for part in parts],
                title=first.get("title"),
                date=first.get("date"),
                language=first.get("language"),
                metadata=_scalars(first),
            ),
        )


def _section(document: Document) -> Section:
    page = document.metadata.get("page")
    return Section(
        text=clean(document.page_content),
        pages=((0, page + 1),) if isinstance(page, int) else (),
        question=document.metadata.get("question"),
    )


def _scalars(metadata: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    ours = {"title", "date", "language", "page", "question", "source"}
    return {
        key: value
        for key, value in metadata.items()
        if key not in ours and isinstance(value, str | int | float | bool)
    }
