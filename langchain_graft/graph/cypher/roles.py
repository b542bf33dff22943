"""Walk over a statement and tell keywords from names: the part each token plays, or a refusal.

It knows, after each token, what may come: a clause, an operand, what follows an operand, or a name.
A word that stands where a clause or an operator must stand is a keyword, and refused unless it is
one that reads. Two operands beside each other are refused. So a clause can not hide as a name: what
follows it would be an operand beside it, or a call of a function by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NoReturn

from langchain_graft.errors import CypherRefusedError
from langchain_graft.graph.cypher.tokens import Token, significant, tokenize
from langchain_graft.graph.cypher.vocabulary import CLAUSES, INFIX, TYPES, WRITING

MOST_CHARACTERS = 20_000
MOST_DEPTH = 100

State = Literal["clause", "operand", "after", "name", "key", "type", "union", "procedure", "closed"]
Kind = Literal["(", "[", "map", "query", "expression query", "call query", "case"]

_PAIRS = {")": "(", "]": "["}
_PATHS = frozenset("PATH PATHS GROUP GROUPS".split())
_ENDINGS = frozenset("ASC ASCENDING DESC DESCENDING SCORE".split())
_MODES = frozenset("WALK TRAIL ACYCLIC SIMPLE".split())
_FORMS = frozenset("NFC NFD NFKC NFKD".split())
_HINTS = frozenset("INDEX TEXT RANGE POINT SEEK SCAN JOIN ON".split())
_OPERATORS = frozenset("= < > <= >= <> =~ + - / % ^ || | & ! ..".split())
_GENERIC = frozenset("LIST ARRAY ANY VECTOR".split())
_BEFORE_STAR = frozenset(["WITH", "RETURN", "YIELD", "DISTINCT", "(", "[", ",", ">", "-"])
_END = Token("end", "", 0, "")
_SAFE_AFTER_NAME = frozenset(". , ) ] } = < > <> <= >= =~".split())


@dataclass
class Bracket:
    """An open bracket, or an open CASE."""

    kind: Kind
    call: str = ""
    """In lower case: the function whose arguments these are."""


@dataclass
class Walk:
    """What a statement is made of."""

    cypher: str
    procedures: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    """Names as they are called, dots and all."""
    clauses: list[tuple[Token, int]] = field(default_factory=list)
    """The clauses' first words, each with the number of brackets around it."""
    last: Token | None = None
    """The last token that means something, before a closing `;`."""


def walk(cypher: str) -> Walk:
    """What a reading statement is made of.

    Raises:
        CypherRefusedError: It is too long or too deep, has a clause that does not read, or is not
            understood.
    """
    if len(cypher) > MOST_CHARACTERS:
        msg = f"The statement has {len(cypher)} characters, at most {MOST_CHARACTERS} are read"
        raise CypherRefusedError(msg, cypher=cypher[:1000] + " ...")
    return _Walker(cypher).run()


class _Walker:
    def __init__(self, cypher: str) -> None:
        self._walk = Walk(cypher)
        self._tokens = significant(tokenize(cypher))
        while self._tokens and self._tokens[-1].value == ";" and self._tokens[-1].kind == "symbol":
            self._tokens.pop()
        self._place = 0
        self._state: State = "clause"
        self._open: list[Bracket] = []
        self._selector = False
        self._hint = False

    def run(self) -> Walk:
        if not self._tokens:
            self._refuse("There is no statement")
        self._walk.last = self._tokens[-1]
        self._version()
        while self._place < len(self._tokens):
            token = self._tokens[self._place]
            self._place += 1
            if token.kind == "symbol":
                self._symbol(token)
            elif token.kind in ("word", "name"):
                self._word(token)
            else:
                self._value(token)
            if len(self._open) > MOST_DEPTH:
                self._refuse(f"There are more than {MOST_DEPTH} brackets inside each other")
        if self._open or self._state not in ("after", "type", "closed"):
            self._refuse("The statement is not whole: its end is missing")
        return self._walk

    def _version(self) -> None:
        """`CYPHER 5` and `CYPHER 25` change nothing but the language; options do more."""
        if self._tokens[0].value == "CYPHER" and self._tokens[0].kind == "word":
            self._place = 1
            if self._peek().kind == "number":
                self._place = 2

    def _word(self, token: Token) -> None:
        word = token.value if token.kind == "word" else ""
        if self._state == "union" and word in ("ALL", "DISTINCT"):
            self._state = "clause"
        elif self._names_path():
            self._state = "after"
        elif self._state in ("clause", "union", "closed"):
            self._clause(token, word)
        elif self._state in ("after", "type", "operand"):
            handle = {"after": self._after, "type": self._type, "operand": self._operand}
            handle[self._state](token, word)
        else:
            {"key": self._key, "procedure": self._procedure, "name": self._name}[self._state](token)

    def _names_path(self) -> bool:
        """Whether this is the `p` of `EXISTS { p = (a)-->(b) }`."""
        is_first = self._state == "clause" and self._inside("expression query")
        return is_first and self._peek().value == "="

    def _clause(self, token: Token, word: str) -> None:
        if word not in CLAUSES:
            self._refuse_word(token)
        self._walk.clauses.append((token, len(self._open)))
        self._selector = self._hint = False
        if word in ("OPTIONAL", "ORDER"):
            self._follow(("MATCH", "CALL") if word == "OPTIONAL" else ("BY",), token)
            word = self._tokens[self._place - 1].value
        if word == "CALL":
            self._call()
        elif word == "UNION":
            self._state = "union"
        elif word in ("NEXT", "ELSE"):
            self._state = "clause"
        elif word == "FILTER" and self._peek().value == "WHERE":
            self._place += 1
            self._state = "operand"
        else:
            self._state = "after" if word == "FINISH" else "operand"

    def _call(self) -> None:
        following = self._peek()
        if following.value == "(":
            self._place += 1
            self._scope()
            following = self._peek()
        if following.value == "{" and following.kind == "symbol":
            self._place += 1
            self._open.append(Bracket("call query"))
            self._state = "clause"
        else:
            self._state = "procedure"

    def _scope(self) -> None:
        """The variables that a subquery is given: names, commas and `*` alone."""
        while (token := self._take()).value != ")" or token.kind != "symbol":
            if token.kind not in ("word", "name") and token.value not in (",", "*"):
                self._refuse("The variables of CALL (...) are not understood")
        if self._peek().value != "{":
            self._refuse("After CALL (...) a subquery { ... } must follow")

    def _procedure(self, token: Token) -> None:
        name = self._dotted(token)
        self._walk.procedures.append(name.lower())
        if self._peek().value == "(" and self._peek().kind == "symbol":
            self._place += 1
            self._open.append(Bracket("("))
            self._state = "operand"
        else:
            self._state = "after"

    def _dotted(self, token: Token) -> str:
        parts = [token.value if token.kind == "name" else token.text]
        while self._peek().value == "." and self._peek(1).kind in ("word", "name"):
            part = self._peek(1)
            parts.append(part.value if part.kind == "name" else part.text)
            self._place += 2
        return ".".join(parts)

    def _operand(self, token: Token, word: str) -> None:
        following = self._peek()
        opens = following.kind == "symbol" and following.value in ("(", "{")
        if self._extends_case(word):
            self._after(token, word)
        elif word in ("EXISTS", "COUNT", "COLLECT") and following.value == "{" and opens:
            self._place += 1
            self._open.append(Bracket("expression query"))
            self._state = "clause"
        elif word == "CASE" and self._begins_case(following):
            self._open.append(Bracket("case"))
            if following.value == "WHEN":
                self._place += 1
        elif word == "NOT" or (word == "DISTINCT" and following.value != "."):
            pass
        elif self._is_selector(word):
            self._selector = True
        elif self._is_phrase(word, following):
            self._place += 1
        else:
            self._variable(token, word)

    def _begins_case(self, following: Token) -> bool:
        """Whether `case` is no variable."""
        is_sign = following.kind == "symbol" and following.value in (*_SAFE_AFTER_NAME, "{", ":")
        is_word = following.value in (*CLAUSES, *INFIX, "AS", "IS") and following.value != "WHEN"
        return following.kind != "end" and not is_sign and not is_word

    def _extends_case(self, word: str) -> bool:
        """`CASE x WHEN IS NULL THEN`, `WHEN STARTS WITH 'a' THEN`."""
        before = self._tokens[self._place - 2].value
        return (
            word in ("IS", "STARTS", "ENDS", "CONTAINS", "IN")
            and self._inside("case")
            and before in ("WHEN", ",")
            and self._peek().value not in _SAFE_AFTER_NAME
        )

    def _is_selector(self, word: str) -> bool:
        """`ANY SHORTEST`, `SHORTEST 2 GROUPS`, `ALL PATHS` and so on, behind MATCH or `=`."""
        following = self._peek()
        if word in _MODES and self._begins_pattern():
            return True
        if word in ("ANY", "ALL", "SHORTEST") and self._begins_pattern():
            return following.kind in ("number", "parameter") or following.value in (
                "SHORTEST",
                "PATH",
                "PATHS",
                "GROUP",
                "GROUPS",
                *(("(",) if word == "SHORTEST" else ()),
            )
        return word in ("SHORTEST", *_PATHS, *_MODES) and self._selector

    def _begins_pattern(self) -> bool:
        before = self._tokens[self._place - 2] if self._place > 1 else None
        return before is not None and before.value in ("MATCH", "=", ",", "{", "ELEMENTS")

    def _is_phrase(self, word: str, following: Token) -> bool:
        """Two words before a pattern or an argument that mean nothing more."""
        pairs = {
            "REPEATABLE": ("ELEMENT", "ELEMENTS"),
            "DIFFERENT": ("RELATIONSHIP", "RELATIONSHIPS", "EDGE", "EDGES"),
            "VECTOR": ("INDEX",),
        }
        return following.kind == "word" and following.value in pairs.get(word, ())

    def _variable(self, token: Token, word: str) -> None:
        if word in ("LEADING", "TRAILING", "BOTH", "FROM") and self._in_call("trim"):
            return
        if word in TYPES and self._in_call("vector"):
            self._state = "type"
            return
        name = self._dotted(token) if self._is_call() else ""
        if name:
            self._function(name)
            return
        if word in WRITING and not self._is_plainly_name():
            self._refuse_word(token)
        self._state = "after"

    def _is_call(self) -> bool:
        """Whether a name, dots and all, is followed by a bracket."""
        ahead = 0
        while self._peek(ahead).value == "." and self._peek(ahead + 1).kind in ("word", "name"):
            ahead += 2
        return self._peek(ahead).value == "(" and self._peek(ahead).kind == "symbol"

    def _function(self, name: str) -> None:
        self._walk.functions.append(name.lower())
        self._place += 1
        self._open.append(Bracket("(", call=name.lower()))
        self._state = "operand"

    def _is_plainly_name(self) -> bool:
        before = self._tokens[self._place - 2]
        if before.kind == "symbol" and before.value in ("(", "[", ",", "|", "&", "!"):
            return True
        following = self._peek()
        return (
            following.kind == "end"
            or (following.kind == "symbol" and following.value in _SAFE_AFTER_NAME)
            or following.value in ("AS", "ORDER", "SKIP", "LIMIT", "IS")
        )

    def _after(self, token: Token, word: str) -> None:
        if self._inside("case") and word in ("WHEN", "THEN", "ELSE", "END"):
            self._case(word)
        elif word == "IS":
            self._is()
        elif word == "USING":
            self._using()
        elif word in ("STARTS", "ENDS", "GROUP"):
            self._follow(("BY",) if word == "GROUP" else ("WITH",), token)
            self._state = "operand"
        elif word in ("AS", "THEN"):
            self._state = "name" if word == "AS" else "clause"
        elif self._is_infix(word):
            self._state = "operand"
        elif word not in _ENDINGS:
            self._clause(token, word)

    def _is_infix(self, word: str) -> bool:
        continues_selector = self._selector and word in ("SHORTEST", *_PATHS)
        ends_trimmed = word == "FROM" and self._in_call("trim")
        return word in INFIX or continues_selector or ends_trimmed

    def _case(self, word: str) -> None:
        if word == "END":
            self._open.pop()
        self._state = "after" if word == "END" else "operand"

    def _is(self) -> None:
        if self._peek().value == "NOT":
            self._place += 1
        following = self._peek()
        if following.value in ("::", "TYPED", "NULL", "NORMALIZED", *_FORMS):
            self._place += 1
            self._state = "type"
        else:
            self._place += following.value in ("LABELED", ":")
            self._state = "name"

    def _using(self) -> None:
        while self._peek().value in _HINTS:
            self._place += 1
        self._hint = True
        self._state = "operand"

    def _type(self, token: Token, word: str) -> None:
        zoned = word == "WITH" and self._peek().value in ("TIME", "TIMEZONE")
        if word not in TYPES and not zoned:
            self._after(token, word)

    def _key(self, _: Token) -> None:
        self._state = "after"
        if self._peek().value == ":":
            self._place += 1
            self._state = "operand"

    def _name(self, token: Token) -> None:
        following = self._peek()
        if following.value == "(" and following.kind == "symbol" and not self._hint:
            self._refuse(f"{token.text!r} is called like a function, but has no function's place")
        self._state = "after"
        if self._hint and following.value == "(":
            self._place += 1
            self._push("(")

    def _value(self, token: Token) -> None:
        following = self._peek()
        if self._state == "name" and token.kind == "parameter":
            self._state = "after"
            if following.value == "(":  # the dynamic labels $any(...) and $all(...)
                self._place += 1
                self._push("(")
        elif self._state == "operand" or (self._state == "key" and token.kind != "string"):
            self._state = "after"
        else:
            self._refuse_word(token)

    def _symbol(self, token: Token) -> None:
        sign = token.value
        if sign in "({[":
            self._opens(token)
        elif sign in ")]}":
            self._closes(token)
        elif sign == ",":
            self._comma(token)
        elif sign in (".", ":", "::", "*", "$"):
            self._mark(token)
        elif self._is_in_label(sign) or self._is_in_type(sign):
            self._state = "after" if sign == "%" else self._state  # % is any label
        elif sign in _OPERATORS and self._state in ("operand", "after", "type"):
            quantifies = sign == "+" and self._quantifies()
            self._state = "after" if quantifies else "operand"
        elif sign == ";":
            self._refuse("There is more than one statement")
        else:
            self._refuse_word(token)

    def _opens(self, token: Token) -> None:
        sign, state = token.value, self._state
        if sign == "{" and state in ("clause", "union"):
            self._push("query", "clause")
        elif sign == "{" and state in ("operand", "after", "type"):
            self._push("map", "key")
        elif sign == "(" and state == "clause" and self._inside("expression query"):
            self._push("(")
        elif sign == "[" and state in ("operand", "after"):
            self._push("[")
        elif sign == "(" and (state in ("operand", "name") or self._continues_pattern()):
            self._push("(")
        else:
            self._refuse_word(token)

    def _continues_pattern(self) -> bool:
        before = self._tokens[self._place - 2].value if self._place > 1 else ""
        return self._state == "after" and (before in (")", "}") or self._selector)

    def _closes(self, token: Token) -> None:
        top = self._open.pop() if self._open else Bracket("(")
        if token.value == "}":
            fits = top.kind == "map" and self._state in ("key", "after", "type")
            fits = fits or (
                top.kind.endswith("query") and self._state in ("after", "type", "closed")
            )
        else:
            fits = top.kind == _PAIRS[token.value] and self._state in ("operand", "after", "type")
        if not fits:
            self._refuse_word(token)
        self._state = "closed" if top.kind in ("query", "call query") else "after"

    def _comma(self, token: Token) -> None:
        if self._inside("map") and self._state in ("key", "after", "type"):
            self._state = "key"
        elif self._state in ("after", "type"):
            self._state = "operand"
        else:
            self._refuse_word(token)

    def _mark(self, token: Token) -> None:
        sign, state = token.value, self._state
        before = self._tokens[self._place - 2].value if self._place > 1 else ""
        if sign == "." and state == "key" and self._peek().value == "*":
            self._place += 1
            self._state = "after"
        elif (sign == "." and state in ("after", "key", "type")) or (
            sign == ":" and state in ("operand", "after", "name", "type")
        ):
            self._state = "name"
        elif sign == "::" and state == "after":
            self._state = "type"
        elif sign == "$" and state == "name" and self._peek().value == "(":
            pass
        elif sign == "*" and state in ("after", "type"):
            self._state = "after" if self._quantifies() else "operand"
        elif sign == "*" and state == "operand" and before in _BEFORE_STAR:
            self._state = "operand" if before in ("[", ">", "-") else "after"
        else:
            self._refuse_word(token)

    def _quantifies(self) -> bool:
        """Whether `+` or `*` repeats the pattern before it, and is no sign between numbers."""
        if self._tokens[self._place - 2].value != ")":
            return False
        following = self._peek()
        if following.kind == "word":
            return following.value in CLAUSES or following.value in WRITING
        return following.kind == "end" or following.value in (",", ")", "]", "}")

    def _is_in_label(self, sign: str) -> bool:
        return sign in ("!", "%") and self._state == "name"

    def _is_in_type(self, sign: str) -> bool:
        """Whether it belongs to `INTEGER | FLOAT` or `LIST<STRING>`."""
        before = self._tokens[self._place - 2].value
        return self._state == "type" and (
            (sign == "|" and self._peek().value in TYPES)
            or (sign == "<" and before in _GENERIC)
            or (sign == ">" and before in TYPES)
        )

    def _push(self, kind: Kind, state: State = "operand") -> None:
        self._open.append(Bracket(kind))
        self._state = state

    def _inside(self, kind: Kind) -> bool:
        return bool(self._open) and self._open[-1].kind == kind

    def _in_call(self, function: str) -> bool:
        return bool(self._open) and self._open[-1].call == function

    def _follow(self, words: tuple[str, ...], token: Token) -> None:
        if self._peek().value not in words or self._peek().kind != "word":
            self._refuse(f"After {token.text!r} must come {' or '.join(words)}")
        self._place += 1

    def _peek(self, ahead: int = 0) -> Token:
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else _END

    def _take(self) -> Token:
        token = self._peek()
        if token.kind == "end":
            self._refuse("The statement is not whole: its end is missing")
        self._place += 1
        return token

    def _refuse_word(self, token: Token) -> NoReturn:
        if token.kind == "word" and token.value in WRITING:
            self._refuse(f"{token.text!r} does more than read. Use MATCH, WHERE, WITH and RETURN")
        line = self._walk.cypher[: token.start].count("\n") + 1
        self._refuse(f"{token.text!r} in line {line} can not stand there in a reading statement")

    def _refuse(self, reason: str) -> NoReturn:
        raise CypherRefusedError(reason, cypher=self._walk.cypher)
