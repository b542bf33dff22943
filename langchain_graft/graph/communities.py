"""What a graph is about at large: communities of things, each summed up by a model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser

from langchain_graft.durable import write_durably
from langchain_graft.errors import MissingExtraError
from langchain_graft.graph.prompts import COMMUNITY_PROMPT
from langchain_graft.graph.triples import triple_text
from langchain_graft.graph.whole_graph import whole_graph
from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.source_text import without_control_words

try:
    import igraph
    import leidenalg
except ImportError as error:
    raise MissingExtraError("graph") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.graph.types import Relationship, Subgraph
    from langchain_graft.graph.whole_graph import PagedStore
    from langchain_graft.models.pull import OnProgress

MOST_COMMUNITIES = 40
LEAST_NODES = 3
MOST_NODES = 30
MOST_TOKENS = 900
SUMMARY_TOKENS = 120
FORMAT = 1
_SEED = 0
_FINEST = 64
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Community:
    """Things that have more to do with each other than with the rest."""

    nodes: tuple[str, ...]
    """Ids, those with the most relationships inside first."""
    relationships: tuple[Relationship, ...]
    """Between them, those that are said most often first."""
    digest: str
    """Of the nodes and relationships: another one means that the graph has changed here."""


def find_communities(
    subgraph: Subgraph, *, most_nodes: int = MOST_NODES, least_nodes: int = LEAST_NODES
) -> list[Community]:
    """Communities by the Leiden algorithm (Traag, Waltman and van Eck 2019), largest first.

    It maximises modularity, a relationship counting once for each time that it is said. The
    same graph gives the same communities.

    Args:
        subgraph: The whole graph, usually.
        most_nodes: Of a community; as in GraphRAG (Edge et al. 2024), larger ones are divided.
        least_nodes: Smaller ones are left out.
    """
    ids = sorted(node.id for node in subgraph.nodes)
    places = {id_: n for n, id_ in enumerate(ids)}
    ties = sorted(subgraph.relationships, key=lambda one: one.key)
    graph = igraph.Graph(n=len(ids), edges=[(places[t.source], places[t.target]) for t in ties])
    graph.vs["place"] = range(len(ids))
    graph.es["weight"] = [max(1, len(one.mentions)) for one in ties]
    parts = _divided(graph, most_nodes)
    membership = {place: number for number, part in enumerate(parts) for place in part}
    inside: list[list[Relationship]] = [[] for _ in parts]
    for one in ties:
        part = membership[places[one.source]]
        if part == membership[places[one.target]]:
            inside[part].append(one)
    found = [
        _community([ids[n] for n in part], inside[number])
        for number, part in enumerate(parts)
        if len(part) >= least_nodes
    ]
    return sorted(found, key=lambda one: (-len(one.nodes), one.digest))


def create_community_summaries(  # noqa: PLR0913 (each is a bound of its own)
    store: PagedStore,
    model: BaseChatModel,
    *,
    path: Path | str | None = None,
    most: int = MOST_COMMUNITIES,
    most_tokens: int = MOST_TOKENS,
    prompt: BasePromptTemplate[Any] = COMMUNITY_PROMPT,
    on_progress: OnProgress | None = None,
) -> list[Document]:
    """What a graph's communities are about, in the model's words, for questions about the whole.

    Each is asked for once: what the file has for a community that is still the same is taken from
    there, so that a run that was stopped goes on, and a graph that has grown costs only what is
    new. What a community no longer says is taken out of the file.

    Args:
        store: A graph whose chunks can be listed.
        model: Any chat model.
        path: A file of JSON lines, kept beside the graph; None: nothing is kept.
        most: Most communities, the largest ones; their number bounds the calls of the model.
        most_tokens: Most tokens of triples that one call sees, by estimate.
        prompt: With the variable `facts`.
        on_progress: Told ("summarise", done, total).

    Returns:
        A document per community: its summary, and in the metadata `source_id`, `title` (its best
        connected things), `names`, `chunk_ids` (of what it stands on) and `digest`.

    Raises:
        ValueError: The prompt lacks the variable.
    """
    require_variables(prompt, "facts")
    ask = prompt | ask_aside(model, max_tokens=SUMMARY_TOKENS) | StrOutputParser()
    graph = whole_graph(store)
    if graph.truncated:
        _logger.warning("Summed up are the first %d relationships only", len(graph.relationships))
    names = {node.id: node.name for node in graph.nodes}
    communities = find_communities(graph)[:most]
    kept = _by_digest(read_community_summaries(path))
    made: list[Document] = []
    for number, community in enumerate(communities, 1):
        summary = kept.get(community.digest)
        if summary is None:
            reply = ask.invoke({"facts": _facts(community, names, most_tokens)})
            summary = _document(community, names, reply)
            meanwhile = read_community_summaries(path)  # what other runs have asked for
            kept = {**_by_digest(meanwhile), **kept, community.digest: summary}
            _write(path, list(kept.values()))
        made.append(summary)
        if on_progress:
            on_progress("summarise", number, len(communities))
    if len(kept) != len(made):
        _write(path, made)
    return made


def read_community_summaries(path: Path | str | None) -> list[Document]:
    """The summaries that a file holds; none if there is no file, or another version wrote it."""
    if path is None or not Path(path).exists():
        return []
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    if any(row.pop("format", None) != FORMAT for row in rows):
        _logger.warning("%r is of another version: its summaries are made anew", str(path))
        return []
    return [Document(**row) for row in rows]


def stale_summaries(store: PagedStore, summaries: Sequence[Document]) -> list[Document]:
    """Those of communities that the graph no longer has as they were summed up."""
    now = {one.digest for one in find_communities(whole_graph(store))}
    return [one for one in summaries if one.metadata["digest"] not in now]


def _divided(graph: igraph.Graph, most: int, *, resolution: float = 1.0) -> list[list[int]]:
    """Places by community; what is larger than wanted is divided again at twice the resolution."""
    parts = leidenalg.find_partition(
        graph,
        leidenalg.RBConfigurationVertexPartition,
        weights="weight" if graph.ecount() else None,
        resolution_parameter=resolution,
        seed=_SEED,
    )
    found: list[list[int]] = []
    for part in parts:
        places = [graph.vs[n]["place"] for n in part]
        if len(part) <= most:
            found.append(places)
        elif resolution < _FINEST:
            found += _divided(graph.induced_subgraph(part), most, resolution=2 * resolution)
        else:  # all are tied to all
            found += [places[n : n + most] for n in range(0, len(places), most)]
    return found


def _community(ids: Sequence[str], inside: Sequence[Relationship]) -> Community:
    ties = Counter(end for one in inside for end in (one.source, one.target))
    keys = [[*one.key, sorted({mention.chunk_id for mention in one.mentions})] for one in inside]
    said = json.dumps([sorted(ids), keys], ensure_ascii=False)
    return Community(
        nodes=tuple(sorted(ids, key=lambda id_: (-ties[id_], id_))),
        relationships=tuple(sorted(inside, key=lambda one: -len(one.mentions))),
        digest=hashlib.sha256(said.encode()).hexdigest()[:24],
    )


def _facts(community: Community, names: dict[str, str], most_tokens: int) -> str:
    lines: list[str] = []
    left = most_tokens
    for one in community.relationships:
        line = f"- {triple_text(one, names)}"
        left -= estimate_tokens(line)
        if left < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def _document(community: Community, names: dict[str, str], reply: str) -> Document:
    told = [names[id_] for id_ in community.nodes]
    said = [m.chunk_id for one in community.relationships for m in one.mentions]
    title = ", ".join(told[:3])
    return Document(
        id=f"community:{community.digest}",
        page_content=without_control_words(reply.strip()) or title,
        metadata={
            "source_id": f"community:{title}",
            "title": title,
            "names": told,
            "chunk_ids": list(dict.fromkeys(said)),
            "digest": community.digest,
        },
    )


def _by_digest(summaries: Sequence[Document]) -> dict[str, Document]:
    return {one.metadata["digest"]: one for one in summaries}


def _write(path: Path | str | None, summaries: Sequence[Document]) -> None:
    """Replace the file at once: what is read is the old or the new one."""
    if path is None:
        return
    rows = [
        {"format": FORMAT, "id": one.id, "page_content": one.page_content, "metadata": one.metadata}
        for one in summaries
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_durably(Path(path), text.encode())
