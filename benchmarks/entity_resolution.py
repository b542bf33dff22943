"""Entity resolution: pairwise precision, recall and F1 on mentions that people would put together.

Passages in English and Chinese with homonyms, acronyms, titles, initials, courtesy names and other
spellings (`entity_resolution.txt`, of our own writing). Thresholds were swept on the half called
`tune` alone, and errors looked at there alone. `test` is no blind test all the same: whoever wrote
the rules wrote both halves (the rule for WHO and The Who comes from knowing it), and one rule, that
a short name does not join two homonyms, was added after a first F1 of 0.92 on it. Beside it: the
exact normalised name within a label (what langchain-neo4j and most others do), and neo4j-graphrag's
FuzzyMatchResolver, RapidFuzz's WRatio of the names from 0.8 on within a label.

    python benchmarks/entity_resolution.py [--embeddings minilm] [--errors]
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from langchain_core.documents import Document
from rapidfuzz import fuzz
from rapidfuzz.utils import default_process
from report import finish, print_table

from langchain_graft import load_embeddings
from langchain_graft.graph import GraphDocument, Mention, Node, node_id
from langchain_graft.graph.entity_resolution import Resolution, resolve_entities
from langchain_graft.graph.entity_resolution.entities import entity_id
from langchain_graft.graph.entity_resolution.names import plain_name
from langchain_graft.graph.entity_resolution.union_find import UnionFind

DATA = Path(__file__).with_name("entity_resolution.txt")
MARK = re.compile(r"\[\[(.+?)\|(\w+)\|(\w+)\]\]")
PEER_THRESHOLD = 80.0


class Said(NamedTuple):
    """A mention: what document says it, how, and what it means."""

    source: str
    name: str
    label: str
    thing: str

    @property
    def entity(self) -> str:
        """The id of what its document calls so."""
        return entity_id(self.source, self.label, self.name)


def read(part: str) -> tuple[list[GraphDocument], list[Said]]:
    """The documents of one part as graphs, and their mentions."""
    documents, mentions = [], []
    for line in DATA.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.startswith(part):
            continue
        _, source, marked = line.split("\t")
        text, end = "", 0
        nodes: dict[str, Node] = {}
        for found in MARK.finditer(marked):
            text += marked[end : found.start()]
            name, thing, label = found.groups()
            place = Mention(chunk_id=source, start=len(text), end=len(text) + len(name), quote=name)
            text, end = text + name, found.end()
            mentions.append(Said(source, name, label, thing))
            id_ = node_id(label, name)
            had = nodes.get(id_) or Node(id=id_, label=label, name=name)
            nodes[id_] = replace(had, mentions=(*had.mentions, place))
        chunk = Document(
            id=source, page_content=text + marked[end:], metadata={"source_id": source}
        )
        documents.append(GraphDocument(nodes=tuple(nodes.values()), relationships=(), source=chunk))
    return documents, mentions


def of_resolution(resolution: Resolution) -> Callable[[Said], str]:
    groups = UnionFind()
    for merge in resolution.merges:
        groups.join(merge.left, merge.right)
    return lambda said: groups.find(said.entity)


def of_exact_names(said: Said) -> str:
    return f"{said.label} {plain_name(said.name)}"


def of_fuzzy_names(mentions: Iterable[Said]) -> Callable[[Said], str]:
    """neo4j-graphrag's way, with the transitive closure that its own code lacks."""
    groups = UnionFind()
    by_label = defaultdict(set)
    for said in mentions:
        by_label[said.label].add(said.name)
    for label, names in by_label.items():
        for one, other in combinations(sorted(names), 2):
            if fuzz.WRatio(one, other, processor=default_process) >= PEER_THRESHOLD:
                groups.join(f"{label} {one}", f"{label} {other}")
    return lambda said: groups.find(f"{said.label} {said.name}")


def scores(mentions: list[Said], group: Callable[[Said], str]) -> dict[str, float]:
    """Pairwise precision, recall and F1 over all pairs of mentions."""
    both = ours = theirs = 0
    for one, other in combinations(mentions, 2):
        together, are_one = group(one) == group(other), one.thing == other.thing
        both += together and are_one
        ours += together
        theirs += are_one
    precision, recall = both / max(1, ours), both / max(1, theirs)
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
    }


def print_errors(mentions: list[Said], group: Callable[[Said], str]) -> None:
    for one, other in combinations(dict.fromkeys(mentions), 2):
        together, are_one = group(one) == group(other), one.thing == other.thing
        if together != are_one:
            kind = "wrong " if together else "missed"
            print(f"{kind} {one.name} ({one.source}) = {other.name} ({other.source})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", nargs="*", default=["e5-multilingual", "minilm"])
    parser.add_argument("--errors", action="store_true", help="those of the half for tuning")
    parser.add_argument("--only", choices=["tune", "test"], help="do not keep the result")
    given = parser.parse_args()
    figures: dict[str, object] = {}
    rows = []
    loaded = {name: load_embeddings(name) for name in given.embeddings}
    for part in [given.only] if given.only else ["tune", "test"]:
        documents, mentions = read(part)
        ways = {
            "exact name": of_exact_names,
            "RapidFuzz WRatio 0.8": of_fuzzy_names(mentions),
            "ours, without vectors": of_resolution(resolve_entities(documents)),
        }
        for name, embeddings in loaded.items():
            resolution = resolve_entities(documents, embeddings=embeddings)
            ways[f"ours, {name}"] = of_resolution(resolution)
        things = {said.thing for said in mentions}
        figures[part] = {"mentions": len(mentions), "things": len(things)}
        for way, group in ways.items():
            found = scores(mentions, group)
            figures[f"{part}: {way}"] = found
            rows.append((part, way, *found.values()))
            if given.errors and way.startswith("ours") and part == "tune":
                print(f"-- {way}")
                print_errors(mentions, group)
        print(part, len(mentions), "mentions of", len(things), "things")
    print_table("pairwise", ("part", "way", "precision", "recall", "F1"), rows)
    if not given.only:
        finish("entity_resolution", figures, packages=["langchain-graft", "rapidfuzz"])


if __name__ == "__main__":
    main()
