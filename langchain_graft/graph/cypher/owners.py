"""Properties that stand on the wrong variable: the node's on its relationship, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.edits import Edit, Repaired, edited
from langchain_graft.graph.cypher.names import properties_of, same_name
from langchain_graft.graph.cypher.resolve import Hop, hops_from, labels_of, variable_labels
from langchain_graft.graph.cypher.statement import (
    NodePattern,
    RelationshipPattern,
    read_statement,
)
from langchain_graft.graph.schema_slice import escaped_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_graft.graph.cypher.atoms import Atom
    from langchain_graft.graph.cypher.statement import Statement
    from langchain_graft.graph.schema import Schema

Part = NodePattern | RelationshipPattern


@dataclass(frozen=True)
class _Owner:
    part: Part
    name: str
    """The property, as the schema writes it."""


def mend_owners(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`m.rating` becomes `r.rating` where the rating is the relationship's, and `r` is named.

    Looked for beside the variable first, then in the whole statement. What no part of the statement
    has, but the only relationship or label one step away, is put in as that step. What is not sure
    is left to the check.
    """
    statement = read_statement(cypher)
    for variable, key in _strangers(statement, schema):
        owners = _owners(statement, schema, variable, key.name)
        if len(owners) == 1:
            return _handed(statement, variable, owners[0])
        if not owners and (hop := _step(statement, schema, variable, key.name)):
            theirs = key.name in properties_of(schema, types=[hop.type])
            return _with_step(statement, variable, key.name, hop, theirs=theirs)
    return _moved_entries(statement, schema)


def _strangers(statement: Statement, schema: Schema) -> Iterator[tuple[str, Atom]]:
    """Accesses whose variable is known, and does not have the property."""
    nodes = variable_labels(statement, schema)
    for access in statement.accesses:
        name = access.variable.name
        labels = nodes.get(name, ())
        types = [t for t in statement.relationship_types.get(name, ()) if schema.relationship(t)]
        if not labels and not types:
            continue
        known = properties_of(schema, labels=labels, types=types)
        if access.property.name not in known:
            yield name, access.property


def properties_of_part(part: Part, statement: Statement, schema: Schema) -> list[str]:
    """What the schema says that a node or relationship of a pattern has."""
    if isinstance(part, NodePattern):
        return list(properties_of(schema, labels=labels_of(part, statement, schema)))
    return list(properties_of(schema, types=[type_.name for type_ in part.types]))


def _owners(statement: Statement, schema: Schema, variable: str, name: str) -> list[_Owner]:
    """Who has the property: the parts beside the variable; if none, any named part."""

    def having(parts: Iterable[Part]) -> list[_Owner]:
        found: dict[object, _Owner] = {}
        for part in parts:
            meant = same_name(name, properties_of_part(part, statement, schema))
            own = part.variable.name if part.variable else (part.start, part.end)
            if meant and own != variable:
                found.setdefault(own, _Owner(part, meant))
        return list(found.values())

    beside: list[Part] = []
    for one in statement.relationships:
        ends = [end for end in (one.left, one.right) if _is(end, variable)]
        if _is(one, variable):
            beside += [one.left, one.right]
        elif ends:
            beside.append(one)
    far = [
        end for one in beside if not isinstance(one, NodePattern) for end in (one.left, one.right)
    ]
    return having(beside) or having(far) or having(statement.parts)


def _is(part: Part, variable: str) -> bool:
    return part.variable is not None and part.variable.name == variable


def _handed(statement: Statement, variable: str, owner: _Owner) -> Repaired:
    """The property is asked of its owner, which gets a name if it has none."""
    edits: list[Edit] = []
    if owner.part.variable:
        name = owner.part.variable.text
    else:
        name, edit = naming(statement, owner.part)
        edits.append(edit)
    told = ""
    for access in statement.accesses:
        same = same_name(access.property.name, [owner.name])
        if access.variable.name == variable and same:
            start, end = access.variable.start, access.property.end
            edits.append((start, end, f"{name}.{escaped_name(owner.name)}"))
            told = f"{statement.cypher[start:end]} -> {name}.{owner.name}"
    return Repaired(edited(statement.cypher, edits), (f"property of another: {told}",))


def naming(statement: Statement, part: Part, wish: str = "") -> tuple[str, Edit]:
    """A name for a part that has none, and the edit that gives it."""
    if isinstance(part, NodePattern):
        first = part.labels[0].name[0].lower() if part.labels else "n"
        first = first if first.isascii() and first.isalpha() else "n"
        name = wish or statement.free_name(first)
        return name, (part.start + 1, part.start + 1, name)
    name = wish or statement.free_name("r")
    text = statement.cypher[part.start : part.end]
    if "[" in text:
        place = part.start + text.index("[") + 1
        return name, (place, place, name)
    place = part.start + text.index("-") + 1
    return name, (place, place, f"[{name}]")


def _step(statement: Statement, schema: Schema, variable: str, name: str) -> Hop | None:
    """The only step from the variable to who has the property, if there is but one."""
    labels = variable_labels(statement, schema).get(variable, ())
    hops = [hop for label in labels for hop in hops_from(schema, label)]
    having = [
        hop
        for hop in hops
        if name in properties_of(schema, labels=[hop.target])
        or name in properties_of(schema, types=[hop.type])
    ]
    return having[0] if len(having) == 1 else None


def _with_step(
    statement: Statement, variable: str, name: str, hop: Hop, *, theirs: bool
) -> Repaired:
    pattern = next(
        (one for one in statement.patterns if any(_is(node, variable) for node in one.nodes)), None
    )
    if pattern is None:
        return Repaired(statement.cypher)
    inner, named = escaped_name(hop.type), hop.target[0].lower()
    own = statement.free_name(named if named.isascii() and named.isalpha() else "n")
    node, inside = f"({own}:{escaped_name(hop.target)})", f"[:{inner}]"
    if theirs:
        own = statement.free_name("r")
        node, inside = f"(:{escaped_name(hop.target)})", f"[{own}:{inner}]"
    arrow = f"-{inside}->" if hop.forward else f"<-{inside}-"
    edits: list[Edit] = [(pattern.end, pattern.end, f", ({variable}){arrow}{node}")]
    edits += [
        (access.variable.start, access.variable.end, own)
        for access in statement.accesses
        if access.variable.name == variable and access.property.name == name
    ]
    owner = hop.type if theirs else hop.target
    note = f"property of another: {variable}.{name} is that of {owner}, one step away"
    return Repaired(edited(statement.cypher, edits), (note,))


def _moved_entries(statement: Statement, schema: Schema) -> Repaired:
    """`(m:Movie {rating: 5})` beside `[:REVIEWED]`: the entry goes where the property is."""
    for part in statement.parts:
        known = properties_of_part(part, statement, schema)
        for entry in part.entries:
            if not known or entry.key.name in known:
                continue
            beside = _beside(statement, part)
            homes = [
                (one, meant)
                for one in beside
                if (meant := same_name(entry.key.name, properties_of_part(one, statement, schema)))
            ]
            if len(homes) == 1:
                value = statement.cypher[entry.start : entry.end]
                return _entry_moved(statement, part, homes[0], value)
    return Repaired(statement.cypher)


def _entry_moved(statement: Statement, part: Part, home: tuple[Part, str], value: str) -> Repaired:
    owner, name = home
    new = f"{escaped_name(name)}: {value}"
    text = statement.cypher[owner.start : owner.end]
    if owner.entries:
        place = owner.entries[0].key.start
        adding: Edit = (place, place, f"{new}, ")
    elif "]" in text or isinstance(owner, NodePattern):
        place = owner.start + text.rindex("]" if not isinstance(owner, NodePattern) else ")")
        adding = (place, place, f" {{{new}}}")
    else:
        return Repaired(statement.cypher)
    left = [
        one
        for one in part.entries
        if statement.cypher[one.start : one.end] != value or same_name(one.key.name, [name]) is None
    ]
    first, last = part.entries[0], part.entries[-1]
    inner = ", ".join(statement.cypher[one.key.start : one.end] for one in left)
    begin = statement.cypher.rindex("{", 0, first.key.start)
    end = statement.cypher.index("}", last.end) + 1
    taking: Edit = (begin, end, f"{{{inner}}}" if inner else "")
    note = f"property of another: {name} was moved to where it is"
    return Repaired(edited(statement.cypher, [adding, taking]), (note,))


def _beside(statement: Statement, part: Part) -> list[Part]:
    if not isinstance(part, NodePattern):
        return [part.left, part.right]
    found: list[Part] = []
    for one in statement.relationships:
        if part in (one.left, one.right):
            found += [one, one.right if one.left == part else one.left]
    return found
