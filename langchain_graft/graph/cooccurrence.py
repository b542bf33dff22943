"""A graph without a model: which names stand in which passage, and beside which others."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from langchain_graft.graph.question_entities import written_names
from langchain_graft.graph.types import GraphDocument, Mention, Node, Relationship, node_id
from langchain_graft.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_core.documents import Document

LABEL = "Name"
TYPE = "NAMED_WITH"
MOST_NAMES = 24
_TITLE_WORDS = 8
_WORD = re.compile(r"[^\W_]+")
_BRACKETS = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")


def cooccurrence_graph(
    chunks: Sequence[Document], *, title_key: str = "title", most_names: int = MOST_NAMES
) -> list[GraphDocument]:
    """What passages have to do with each other by the names in them; seconds for a thousand.

    A thing is a name that is written like one (capitals, quotes), and that is a passage's title or
    stands in two passages at least. Each passage ties what its title names, or its first name where
    it has no title, to the others in it, in a relationship `NAMED_WITH` with the sentence as quote.
    What the relationship is, it does not know: `create_extraction_chain` does, with a model. Names
    in Chinese are found in quotes only.

    Args:
        chunks: Passages with ids of their own.
        title_key: Name of the metadata that has the title.
        most_names: Most names of a passage, those that stand first.
    """
    titles = [_BRACKETS.sub("", str(chunk.metadata.get(title_key) or "")) for chunk in chunks]
    known = set(filter(None, titles))
    written = [
        list(dict.fromkeys([*_titles_in(chunk.page_content, known), *names]))
        for chunk in chunks
        for names in [written_names(chunk.page_content, most=4 * most_names)]
    ]
    counts = Counter(name for names in written for name in names)
    known |= {name for name, count in counts.items() if count > 1}
    return [
        _graph_document(chunk, title, [name for name in names if name in known][:most_names])
        for chunk, title, names in zip(chunks, titles, written, strict=True)
    ]


def _titles_in(text: str, titles: Collection[str]) -> list[str]:
    """Other passages' titles that stand in a text, the longest at each place."""
    words = list(_WORD.finditer(text))
    found = []
    for first, word in enumerate(words):
        if not word[0][0].isupper():
            continue
        ends = (one.end() for one in reversed(words[first : first + _TITLE_WORDS]))
        spans = (text[word.start() : end] for end in ends)
        if name := next((span for span in spans if span in titles), None):
            found.append(name)
    return found


def _graph_document(chunk: Document, title: str, names: Sequence[str]) -> GraphDocument:
    """The passage as a star: its title, and a ray to each name in it."""
    said = {name: mention for name in names if (mention := _mention(chunk, name))}
    about = title or next(iter(said), "")
    first = said.get(about) or _first_sentence(chunk)
    nodes = {about: first} if about else {}
    nodes |= {name: mention for name, mention in said.items() if name != about}
    ties = [
        Relationship(
            source=node_id(LABEL, about),
            target=node_id(LABEL, name),
            type=TYPE,
            mentions=(mention,),
        )
        for name, mention in said.items()
        if node_id(LABEL, name) != node_id(LABEL, about)
    ]
    by_id = {
        node_id(LABEL, name): Node(
            id=node_id(LABEL, name), label=LABEL, name=name, mentions=(mention,)
        )
        for name, mention in reversed(nodes.items())
    }
    unique = {one.key: one for one in ties}
    return GraphDocument(
        nodes=tuple(reversed(by_id.values())), relationships=tuple(unique.values()), source=chunk
    )


def _mention(chunk: Document, name: str) -> Mention | None:
    """The sentence in which a name stands first."""
    at = chunk.page_content.find(name)
    if at < 0:
        return None
    spans = sentence_spans(chunk.page_content)
    span = next(one for one in spans if at < one.end)
    return _quoted(chunk, span.start, span.end)


def _first_sentence(chunk: Document) -> Mention:
    spans = sentence_spans(chunk.page_content)
    return _quoted(chunk, spans[0].start if spans else 0, spans[0].end if spans else 0)


def _quoted(chunk: Document, start: int, end: int) -> Mention:
    text = chunk.page_content[start:end]
    return Mention(chunk_id=str(chunk.id), start=start, end=end, quote=text)
