"""A statement of Cypher, read: its clauses, patterns, variables and properties.

Not a whole parser: what the checks and repairs need to see, over the tokens. Text that it does not
understand is left as it is; Neo4j has the last word by `EXPLAIN`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from langchain_graft.graph.cypher.atoms import Atom, atoms_of
from langchain_graft.graph.cypher.given import given_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Direction = Literal["out", "in", "both"]

CLAUSES = frozenset(
    "MATCH OPTIONAL WHERE WITH RETURN ORDER SKIP OFFSET LIMIT UNWIND CALL UNION CREATE MERGE SET "
    "DELETE DETACH REMOVE FOREACH LOAD YIELD USE FINISH FILTER LET NEXT GROUP HAVING".split()
)
_ALSO_NAMES = frozenset("SKIP OFFSET LIMIT FILTER LET NEXT USE SET GROUP HAVING FINISH".split())
"""Clauses that are used as names, too: `RETURN limit, offset ORDER BY offset`."""
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True)
class Entry:
    """A property in a pattern's map: `{title: 'x'}`."""

    key: Atom
    start: int
    """Where the value begins in the text."""
    end: int


@dataclass(frozen=True)
class NodePattern:
    """`(variable:Label {key: value})`; `start` and `end` are places in the text."""

    start: int
    end: int
    variable: Atom | None = None
    labels: tuple[Atom, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class RelationshipPattern:
    """`-[variable:TYPE {key: value}]->`, with the nodes beside it."""

    start: int
    end: int
    left: NodePattern
    right: NodePattern
    direction: Direction
    variable: Atom | None = None
    types: tuple[Atom, ...] = ()
    entries: tuple[Entry, ...] = ()
    long: bool = False
    """Whether it may have several steps: `*1..3`."""


@dataclass(frozen=True)
class Pattern:
    """Nodes, and what is between them."""

    nodes: tuple[NodePattern, ...]
    relationships: tuple[RelationshipPattern, ...]

    @property
    def start(self) -> int:
        """Where it begins in the text."""
        return self.nodes[0].start

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return self.nodes[-1].end


@dataclass(frozen=True)
class Clause:
    """`WHERE ...`; keyword in capitals, `body` is where what follows the keyword begins."""

    keyword: str
    start: int
    body: int
    end: int


@dataclass(frozen=True)
class Item:
    """One column of `WITH` or `RETURN`."""

    start: int
    end: int
    text: str
    """The expression, without its alias."""
    alias: str | None


@dataclass(frozen=True)
class Access:
    """`variable.property`."""

    variable: Atom
    property: Atom


@dataclass
class Statement:
    """A statement, read once; places are offsets into `cypher`."""

    cypher: str
    atoms: list[Atom] = field(init=False)

    def __post_init__(self) -> None:
        self.atoms = atoms_of(self.cypher)

    @cached_property
    def clauses(self) -> list[Clause]:
        """The clauses outside of braces, in order; `ORDER` stands for `ORDER BY`."""
        found: list[tuple[str, int, int]] = []
        for n, depth in _depths(self.atoms):
            atom = self.atoms[n]
            if depth or not atom.is_keyword(*CLAUSES) or not self._begins_clause(n):
                continue
            last = n + 1 if self._next_is(n, {"ORDER": "BY", "GROUP": "BY"}) else n
            found.append((atom.text.upper(), atom.start, self.atoms[last].end))
        ends = [start for _, start, _ in found[1:]] + [len(self.cypher.rstrip().rstrip(";"))]
        return [Clause(*one, end) for one, end in zip(found, ends, strict=False)]

    @cached_property
    def patterns(self) -> list[Pattern]:
        """Every pattern, also those in conditions and subqueries."""
        found = []
        n = 0
        while n < len(self.atoms):
            read = self._pattern(n)
            if read is None:
                n += 1
                continue
            pattern, after = read
            if pattern.relationships or self._in_match(n):
                found.append(pattern)
                n = after
            else:
                n += 1
        return found

    @property
    def nodes(self) -> Iterator[NodePattern]:
        """The nodes of all patterns."""
        return (node for pattern in self.patterns for node in pattern.nodes)

    @property
    def relationships(self) -> Iterator[RelationshipPattern]:
        """The relationships of all patterns."""
        return (one for pattern in self.patterns for one in pattern.relationships)

    @property
    def parts(self) -> list[NodePattern | RelationshipPattern]:
        """Nodes, then relationships, of all patterns."""
        return [*self.nodes, *self.relationships]

    @cached_property
    def node_labels(self) -> dict[str, tuple[str, ...]]:
        """Variables that are nodes, with the labels that they have anywhere."""
        found: dict[str, dict[str, None]] = {}
        for node in self.nodes:
            if node.variable:
                of = found.setdefault(node.variable.name, {})
                of.update(dict.fromkeys(label.name for label in node.labels))
        for access in self._label_predicates():
            found.setdefault(access.variable.name, {})[access.property.name] = None
        self._follow_aliases(found)
        return {name: tuple(labels) for name, labels in found.items()}

    @cached_property
    def relationship_types(self) -> dict[str, tuple[str, ...]]:
        """Variables that are relationships, with their types."""
        found: dict[str, dict[str, None]] = {}
        for one in self.relationships:
            if one.variable:
                of = found.setdefault(one.variable.name, {})
                of.update(dict.fromkeys(type_.name for type_ in one.types))
        self._follow_aliases(found)
        return {name: tuple(types) for name, types in found.items()}

    @cached_property
    def given(self) -> list[Atom]:
        """Where names are given to values: `AS x`, `x IN xs`, `YIELD x`, `x = ...`."""
        return given_names(self.atoms)

    def is_given(self, name: str, *, after: int = 0) -> bool:
        """Whether a value gets this name behind a place of the text."""
        return any(one.name == name and one.start >= after for one in self.given)

    def is_text(self, place: int) -> bool:
        """Whether a place of the text is inside of a string."""
        return any(one.kind == "string" and one.start < place < one.end for one in self.atoms)

    @cached_property
    def accesses(self) -> list[Access]:
        """Every `variable.property`, in order, but of variables that have become other values."""
        found = []
        values: set[str] = set()
        given = {one.start for one in self.given}
        of_patterns = {part.variable.name for part in self.parts if part.variable}
        for n, atom in enumerate(self.atoms):
            if atom.start in given and atom.name in of_patterns:
                values.add(atom.name)
            if not atom.is_word or (n and self.atoms[n - 1].text in {".", "$"}):
                continue
            if atom.name in values:
                continue
            dot, key, after = self._at(n + 1), self._at(n + 2), self._at(n + 3)
            if dot.text == "." and key.is_word and after.text not in {"(", "."}:
                found.append(Access(atom, key))
        return found

    def items(self, clause: Clause) -> list[Item]:
        """The columns of a `WITH` or `RETURN`, `DISTINCT` left out."""
        inside = [one for one in self.atoms if clause.body <= one.start < clause.end]
        if inside and inside[0].is_keyword("DISTINCT"):
            inside = inside[1:]
        return [self._item(part) for part in _split(inside) if part]

    def is_distinct(self, clause: Clause) -> bool:
        """Whether the clause says `DISTINCT`."""
        first = next((one for one in self.atoms if one.start >= clause.body), None)
        return first is not None and first.is_keyword("DISTINCT")

    def text(self, part: Clause | Item | NodePattern | RelationshipPattern | Entry) -> str:
        """The words of a part."""
        return self.cypher[part.start : part.end].strip()

    def body(self, clause: Clause) -> str:
        """What follows a clause's keyword."""
        return self.cypher[clause.body : clause.end].strip()

    def last(self, *keywords: str) -> Clause | None:
        """The last clause of these."""
        return next((one for one in self.clauses[::-1] if one.keyword in keywords), None)

    def uses(self, name: str) -> int:
        """How often a variable stands in the statement."""
        return sum(
            atom.is_word
            and atom.name == name
            and self._at(n - 1).text not in {".", ":"}
            and not (self._at(n + 1).text == ":" and self._at(n - 1).text in {"{", ","})
            for n, atom in enumerate(self.atoms)
        )

    def free_name(self, wish: str) -> str:
        """A variable's name that is not used yet."""
        taken = {atom.name for atom in self.atoms if atom.is_word}
        names = [wish, *[f"{wish}{n}" for n in range(2, len(taken) + 3)]]
        return next(name for name in names if name not in taken)

    def _at(self, n: int) -> Atom:
        return self.atoms[n] if 0 <= n < len(self.atoms) else Atom("end", "", -1, -1)

    def _next_is(self, n: int, pairs: dict[str, str]) -> bool:
        second = pairs.get(self.atoms[n].text.upper())
        return second is not None and self._at(n + 1).is_keyword(second)

    def _begins_clause(self, n: int) -> bool:
        atom, before, after = self.atoms[n], self._at(n - 1), self._at(n + 1)
        word = atom.text.upper()
        if before.text in {".", ":", "$", "|"} or before.is_keyword("AS"):
            return False
        if word in {"ORDER", "GROUP"}:
            return after.is_keyword("BY")
        if word == "WITH":
            return not before.is_keyword("STARTS", "ENDS")
        if word in _ALSO_NAMES and (
            before.text == "," or before.is_keyword("RETURN", "WITH", "DISTINCT", "BY", "AND", "OR")
        ):
            return False
        # a variable called `order` or `limit` is compared, accessed or listed; a clause is not
        return after.text not in {".", ",", ")", "=", ":"}

    def _in_match(self, n: int) -> bool:
        """Whether an element in parentheses is a node, not an expression: it stands in MATCH."""
        for before in range(n - 1, -1, -1):
            atom = self.atoms[before]
            if atom.is_keyword(*CLAUSES) and self._begins_clause(before):
                previous = self._at(n - 1)
                beside = previous.text in {",", "="} or previous.is_keyword("MATCH")
                return atom.is_keyword("MATCH") and beside
        return False

    def _pattern(self, n: int) -> tuple[Pattern, int] | None:
        read = self._node(n)
        if read is None:
            return None
        node, n = read
        nodes, relationships = [node], []
        while True:
            arrow = self._arrow(n)
            following = self._node(arrow[1]) if arrow else None
            if arrow is None or following is None:
                break
            made, _ = arrow
            right, after = following
            relationships.append(
                RelationshipPattern(self.atoms[n].start, right.start, nodes[-1], right, **made)
            )
            nodes.append(right)
            n = after
        return Pattern(tuple(nodes), tuple(relationships)), n

    def _node(self, n: int) -> tuple[NodePattern, int] | None:
        if self._at(n).text != "(" or (self._at(n - 1).is_word and not self._opens_pattern(n - 1)):
            return None
        start, n = self._at(n).start, n + 1
        variable, labels, entries, n, _ = self._inside(n)
        if self._at(n).text != ")":
            return None
        return NodePattern(start, self._at(n).end, variable, labels, entries), n + 1

    def _opens_pattern(self, n: int) -> bool:
        words = (
            "MATCH",
            "WHERE",
            "AND",
            "OR",
            "NOT",
            "XOR",
            "WHEN",
            "RETURN",
            "WITH",
            "IN",
            "THEN",
        )
        return self._at(n).is_keyword(*words)

    def _arrow(self, n: int) -> tuple[dict[str, Any], int] | None:
        points_left = self._at(n).text == "<"
        n += points_left
        if self._at(n).text != "-":
            return None
        n += 1
        found: dict[str, Any] = {}
        if self._at(n).text == "[":
            variable, types, entries, n, long = self._inside(n + 1)
            if self._at(n).text != "]":
                return None
            n += 1
            found = {"variable": variable, "types": types, "entries": entries, "long": long}
        if self._at(n).text != "-":
            return None
        n += 1
        points_right = self._at(n).text == ">"
        n += points_right
        if after := self._quantifier(n):
            found, n = {**found, "long": True}, after
        both = points_left == points_right
        return {**found, "direction": "both" if both else "in" if points_left else "out"}, n

    def _quantifier(self, n: int) -> int | None:
        """Where `+`, `*` or `{1,3}` behind an arrow ends."""
        if self._at(n).text in {"+", "*"}:
            return n + 1
        if self._at(n).text == "{" and self._at(n + 1).kind in {"number", "symbol"}:
            return next((m + 1 for m in range(n, len(self.atoms)) if self.atoms[m].text == "}"), n)
        return None

    def _inside(self, n: int) -> tuple[Atom | None, tuple[Atom, ...], tuple[Entry, ...], int, bool]:
        """What stands in a node's or relationship's brackets: up to the closing one."""
        variable: Atom | None = None
        labels: list[Atom] = []
        entries: tuple[Entry, ...] = ()
        long = False
        if self._at(n).is_word and not self._at(n).is_keyword("WHERE"):
            variable, n = self._at(n), n + 1
        if self._at(n).text == ":":
            labels, n = self._labels(n + 1)
        if self._at(n).text == "*":
            long, n = True, n + 1
            while self._at(n).text == "." or self._at(n).kind == "number":
                n += 1
        if self._at(n).text == "{":
            entries, n = self._entries(n)
        if self._at(n).is_keyword("WHERE"):
            n = self._closing(n)
        return variable, tuple(labels), entries, n, long

    def _labels(self, n: int) -> tuple[list[Atom], int]:
        """The labels or types from `n` on; none where one is negated."""
        begin = n
        while self._at(n).text in {"|", ":", "&", "!"} or (
            self._at(n).is_word and not self._at(n).is_keyword("WHERE")
        ):
            n += 1
        written = self.atoms[begin:n]
        negated = any(atom.text == "!" for atom in written)
        return [] if negated else [atom for atom in written if atom.is_word], n

    def _closing(self, n: int) -> int:
        """The bracket that closes what `n` stands in."""
        inside = ((m, depth) for m, depth in _depths(self.atoms[n:]) if depth < 0)
        return n + next((m for m, _ in inside), len(self.atoms) - n)

    def _entries(self, n: int) -> tuple[tuple[Entry, ...], int]:
        inside, depth, after = [], 0, n
        for after in range(n, len(self.atoms)):
            depth += (self.atoms[after].text in _OPEN) - (self.atoms[after].text in _CLOSE)
            if after > n and depth:
                inside.append(self.atoms[after])
            if not depth:
                break
        parts = [part for part in _split(inside) if len(part) > 2 and part[1].text == ":"]  # noqa: PLR2004
        entries = tuple(Entry(part[0], part[2].start, part[-1].end) for part in parts)
        return entries, after + 1

    def _item(self, part: Sequence[Atom]) -> Item:
        start, end = part[0].start, part[-1].end
        if len(part) > 2 and part[-2].is_keyword("AS"):  # noqa: PLR2004
            return Item(start, end, self.cypher[start : part[-3].end], part[-1].name)
        return Item(start, end, self.cypher[start:end], None)

    def _label_predicates(self) -> Iterable[Access]:
        """`WHERE n:Label`."""
        for n, atom in enumerate(self.atoms):
            label = self._at(n + 2)
            if not (atom.is_word and self._at(n + 1).text == ":" and label.is_word):
                continue
            if self._at(n - 1).is_keyword("WHERE", "AND", "OR", "NOT"):
                yield Access(atom, label)

    def _follow_aliases(self, found: dict[str, dict[str, None]]) -> None:
        for clause in self.clauses:
            if clause.keyword == "WITH":
                for item in self.items(clause):
                    if item.alias and item.text.strip("`") in found:
                        found.setdefault(item.alias, {}).update(found[item.text.strip("`")])


@lru_cache(maxsize=256)
def read_statement(cypher: str) -> Statement:
    """The statement, read; kept for a while, as every check and repair asks for it."""
    return Statement(cypher)


def _depths(atoms: Sequence[Atom]) -> Iterator[tuple[int, int]]:
    """Each atom's number and how many brackets it stands in."""
    depth = 0
    for n, atom in enumerate(atoms):
        if atom.kind == "symbol" and atom.text in _CLOSE:
            depth -= 1
        yield n, depth
        if atom.kind == "symbol" and atom.text in _OPEN:
            depth += 1


def _split(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """Parts between commas that stand in no brackets."""
    parts: list[list[Atom]] = [[]]
    for n, depth in _depths(atoms):
        if atoms[n].text == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(atoms[n])
    return parts
