"""The entities and relations in a model's reply, in whatever dress it says them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.utils.json import parse_partial_json

from langchain_graft.reply_text import plain_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MOST_READ = 20_000
_MOST_NAME = 120
_MOST_TYPE = 40
_MOST_TYPE_WORDS = 4

_JSON = re.compile(r"\A\s*(?:[\w\s]{0,60}[:：])?\s*[\[{]\s*(?:[\"'\[({\]}])|\{\s*[\"']\w+[\"']\s*:")
_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_TRAILING_COMMA = re.compile(r",(?=\s*[\]}])")
_MARKER = re.compile(r"\A\s*(?:[-*•·]\s+|[(（\[]?\d{1,3}[.)、）\]:]\s*)")
_BARS = re.compile(r"\s*(?:<\|>|\||｜|\t)\s*")
_ARROW = re.compile(r"\s*(?:<[-–—=]+|[-–—=]+>|→|←|[-–—=]+(?=\[)|(?<=\])[-–—=]+|\s[-–—]\s)\s*")
_LEFT = re.compile(r"<[-–—=]|←")
_TUPLE = re.compile(r"\A[(（]\s*(.+?)\s*[)）][,;，；.。#]*\Z")
_TUPLE_COMMA = re.compile(r"\s*[,，;；]\s*(?=(?:[^\"]*\"[^\"]*\")*[^\"]*\Z)")
_TYPED = re.compile(r"\A(?P<name>.+?)\s*[(（\[]\s*:?\s*(?P<type>[^()（）\[\]]{2,40})\s*[)）\]]\Z")
_NODE_PATTERN = re.compile(r"\A\(?\s*(?P<name>[^:()]+?)\s*:\s*(?P<type>\w{2,40})\s*\)?\Z")
_NONE = re.compile(
    r"\W*(?:none|nothing|no (?:entities|relations?|relationships?|facts?)\b.{0,40}|empty"
    r"|无|没有.{0,10})\W*|\s*[\[{]\s*[\]}]\s*",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"(?:he|she|it|they|him|her|his|hers|its|them|their|theirs|we|us|our|i|me|my|you|your|this|that"
    r"|these|those|who|which|someone|unknown|none|null|n/?a|他|她|它|他们|她们|它们|其|该|这|那|自己|我|我们)",
    re.IGNORECASE,
)
_WRAPPING = " \t\r\f\v\u3000\"'`*“”‘’「」『』《》,，;；"
_HEADINGS = frozenset(
    "name source subject head entity node from entity1 名称 实体 主体 主语 头实体".split()
)

_SOURCE_KEYS = "source subject head from start source_node source_entity node_1 node1 entity1 subj 主语 主体 头实体".split()  # noqa: E501
_TARGET_KEYS = "target object tail to end target_node target_entity node_2 node2 entity2 obj 宾语 客体 尾实体".split()  # noqa: E501
_RELATION_KEYS = "type relation relationship predicate relationship_type relation_type edge label verb name 关系 谓语".split()  # noqa: E501
_NAME_KEYS = "name id entity text node entity_name title value 名称 实体".split()
_LABEL_KEYS = "type label category entity_type labels kind class 类型 类别".split()
_SOURCE_LABEL_KEYS = "source_type source_label subject_type head_type from_type".split()
_TARGET_LABEL_KEYS = "target_type target_label object_type tail_type to_type".split()


@dataclass(frozen=True, kw_only=True)
class EntityClaim:
    """That there is a thing; `label` is empty where the reply does not say what it is."""

    name: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class RelationClaim:
    """That one thing has to do with another."""

    source: str
    type: str
    target: str
    source_label: str = ""
    target_label: str = ""


Claim = EntityClaim | RelationClaim


def read_claims(reply: str) -> list[Claim]:
    """What a model's reply claims, in order, each claim once.

    Read are lines (`name | Type | RELATION | name | Type`, with fewer fields too, numbered or
    not), tuples, arrows (`(a)-[:R]->(b)`), and JSON under the usual keys, cut off, with trailing
    commas or single quotes. Labels come as `CamelCase`, types as `UPPER_SNAKE`. Pronouns, headings
    and what is too long to be a name are left out.
    """
    text = plain_reply(reply[:_MOST_READ])
    found: Iterable[Claim | None] = _of_json(text) if _JSON.search(text) else ()
    claims = [claim for claim in found if claim]
    if not claims:
        claims = [claim for line in text.splitlines() if (claim := _of_line(line))]
    return list(dict.fromkeys(claims))


def says_none(reply: str) -> bool:
    """Whether a reply says that there is nothing to write down."""
    text = plain_reply(reply).strip()
    if _NONE.fullmatch(text):
        return True
    try:
        values = json.loads(text)
    except ValueError:
        return False
    return isinstance(values, dict | list) and not any(_strings(values))


def label_name(text: str) -> str:
    """A node's label as graphs write it: "software company" becomes `SoftwareCompany`."""
    words = re.findall(r"[^\W_]+", text)
    return "".join(word[:1].upper() + word[1:] for word in words)


def type_name(text: str) -> str:
    """A relationship's type as graphs write it: "worked for" becomes `WORKED_FOR`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    return "_".join(re.findall(r"[^\W_]+", spaced)).upper()


def _of_line(line: str) -> Claim | None:
    bare = _MARKER.sub("", line, count=1).strip()
    if len(parts := _ARROW.split(bare)) == 3:  # noqa: PLR2004
        ends = parts[2::-2] if _LEFT.search(bare) else parts[::2]
        return _relation(_typed(ends[0]), parts[1].strip("[]: "), _typed(ends[1]))
    if inside := _TUPLE.match(bare):
        fields = _BARS.split(inside[1]) if _BARS.search(inside[1]) else []
        return _of_fields(fields or _TUPLE_COMMA.split(inside[1]))
    if _BARS.search(bare):
        return _of_fields(_BARS.split(bare.strip("|｜ \t")))
    return None


def _of_fields(fields: Sequence[str]) -> Claim | None:  # noqa: PLR0911  # one a form
    fields = [field.strip(_WRAPPING) for field in fields]
    match fields:  # the first two: ("entity"<|>name<|>type<|>description), as other prompts ask
        case ["entity" | "node", name, label, *_]:
            return _entity(name, label)
        case ["relationship" | "relation" | "edge", source, target, type_, *_]:
            return _relation(_typed(source), type_, _typed(target))
        case [source, source_label, type_, target, target_label, *_]:
            return _relation((source, source_label), type_, (target, target_label))
        case [source, source_label, type_, target]:
            return _relation((source, source_label), type_, _typed(target))
        case [source, type_, target]:
            return _relation(_typed(source), type_, _typed(target))
        case [name, label]:
            return _entity(name, label)
    return None


def _typed(text: str) -> tuple[str, str]:
    """A name and the type that stands behind it in brackets or, as in Cypher, behind a colon."""
    text = text.strip(_WRAPPING)
    if found := _NODE_PATTERN.match(text) or _TYPED.match(text):
        return found["name"], found["type"]
    return text.strip("()（）"), ""


def _entity(name: Any, label: Any = "") -> EntityClaim | None:
    text = _name(name)
    return EntityClaim(name=text, label=_label(label)) if text else None


def _relation(source: tuple[Any, Any], type_: Any, target: tuple[Any, Any]) -> RelationClaim | None:
    one, other, type_ = _name(source[0]), _name(target[0]), type_name(_text(type_))
    if not (one and other and type_) or len(type_) > _MOST_TYPE or one == other:
        return None
    return RelationClaim(
        source=one,
        type=type_,
        target=other,
        source_label=_label(source[1]),
        target_label=_label(target[1]),
    )


def _name(value: Any) -> str:
    """A name as it was said; empty where it is none."""
    text = " ".join(_text(value).strip(_WRAPPING).split())
    if text.casefold() in _HEADINGS or _PRONOUN.fullmatch(text) or len(text) > _MOST_NAME:
        return ""
    return text if any(map(str.isalnum, text)) else ""


def _label(value: Any) -> str:
    label = label_name(_text(value))
    is_one = len(label) <= _MOST_TYPE and len(_text(value).split()) <= _MOST_TYPE_WORDS
    return label if is_one and not label[:1].isdigit() else ""


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _text(value[0]) if value else ""
    return str(value) if isinstance(value, str | int | float) else ""


def _of_json(text: str) -> Iterator[Claim | None]:
    start = min((place for mark in "[{" if (place := text.find(mark)) >= 0), default=0)
    values = _parsed(text[start:])
    if claims := [*_of_value(values)]:
        yield from claims
        return
    for found in _FLAT_OBJECT.finditer(text):  # broken in the middle: what is whole of it
        if (part := _parsed(found[0])) is not None:
            yield from _of_value(part)


def _parsed(text: str) -> Any:
    """JSON that may be cut off, or written as in Python; None where it is neither."""
    text = _TRAILING_COMMA.sub("", text)
    for read in (json.loads, _first_json, parse_partial_json, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return None


def _first_json(text: str) -> Any:
    """The JSON at the beginning, whatever stands behind it."""
    return json.JSONDecoder().raw_decode(text)[0]


def _of_value(value: Any) -> Iterator[Claim | None]:
    if isinstance(value, list | tuple):
        is_triple = len(value) in (3, 5) and all(isinstance(part, str) for part in value)
        if is_triple:
            yield _of_fields([str(part) for part in value])
            return
        for part in value:
            yield from _of_value(part)
    elif isinstance(value, dict):
        yield from _of_object({str(key).strip().casefold(): of for key, of in value.items()})


def _of_object(values: Mapping[str, Any]) -> Iterator[Claim | None]:
    source, target = _first(values, _SOURCE_KEYS), _first(values, _TARGET_KEYS)
    if source is not None and target is not None:
        yield _relation(
            _end(source, _first(values, _SOURCE_LABEL_KEYS)),
            _first(values, _RELATION_KEYS) or "",
            _end(target, _first(values, _TARGET_LABEL_KEYS)),
        )
        return
    name = _first(values, _NAME_KEYS)
    if isinstance(name, str | int | float):
        yield _entity(name, _first(values, _LABEL_KEYS) or "")
        values = {key: of for key, of in values.items() if isinstance(of, list | dict)}
    for part in values.values():
        if isinstance(part, list | dict):
            yield from _of_value(part)


def _end(value: Any, label: Any) -> tuple[Any, Any]:
    if isinstance(value, dict):
        plain = {str(key).casefold(): of for key, of in value.items()}
        return _first(plain, _NAME_KEYS) or "", _first(plain, _LABEL_KEYS) or label or ""
    return value, label or ""


def _first(values: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((values[key] for key in keys if values.get(key) not in (None, "")), None)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
