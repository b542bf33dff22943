"""From a question to rows: the model writes Cypher, code mends, checks, runs and explains it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_graft.errors import CypherError, CypherRefusedError, ReplyError
from langchain_graft.graph.cypher.check import check_cypher
from langchain_graft.graph.cypher.conditions import conditions_of, without_condition
from langchain_graft.graph.cypher.edits import edited
from langchain_graft.graph.cypher.literals import (
    drop_foreign_literals,
    literals_of,
    plain,
)
from langchain_graft.graph.cypher.parameters import with_parameters
from langchain_graft.graph.cypher.repair import repair_cypher
from langchain_graft.graph.cypher.reply import cypher_of_reply
from langchain_graft.graph.examples import DEFAULT_EXAMPLES
from langchain_graft.graph.grounding import (
    LOOKUP_SECONDS,
    GroundedValue,
    describe_values,
    ground_steps,
    nearest_value_steps,
)
from langchain_graft.graph.prompts import CYPHER_AGAIN, CYPHER_PROMPT, CYPHER_VALUES
from langchain_graft.graph.schema_slice import TOKEN_BUDGET, quoted_value
from langchain_graft.graph.steps import Ask, Call, GetSchema, Read, Steps

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.prompts import BasePromptTemplate

    from langchain_graft.graph.examples import CypherExample, CypherExamples
    from langchain_graft.graph.read_result import ReadResult
    from langchain_graft.graph.schema import Schema

MOST_MODEL_REPAIRS = 2
_MOST_DIAGNOSED = 6
_MOST_TOLD = 4


@dataclass(frozen=True, kw_only=True)
class Text2CypherSettings:
    """What text2cypher does; the switches are for measuring what each part brings."""

    token_budget: int = TOKEN_BUDGET
    """Most tokens of the schema in the prompt."""
    row_limit: int = 100
    """Most rows that come back."""
    timeout_seconds: float = 30.0
    """Most time for one statement in the graph."""
    n_examples: int = DEFAULT_EXAMPLES
    """Examples in the prompt, where there is a store of them."""
    model_repairs: int = MOST_MODEL_REPAIRS
    """How often the model may mend its statement; 0 to 2."""
    code_repairs: bool = True
    """Mend in code what is sure."""
    grounding: bool = True
    """Look up in the graph what the question mentions."""
    literal_check: bool = True
    """Leave out conditions whose value comes from nowhere."""

    def __post_init__(self) -> None:
        if not 0 <= self.model_repairs <= MOST_MODEL_REPAIRS:
            msg = f"model_repairs must be 0 to {MOST_MODEL_REPAIRS}, not {self.model_repairs!r}"
            raise ValueError(msg)
        for name in ("token_budget", "row_limit"):
            if getattr(self, name) < 1:
                msg = f"{name} must be 1 or more, not {getattr(self, name)!r}"
                raise ValueError(msg)
        if self.timeout_seconds <= 0:
            msg = f"timeout_seconds must be above 0, not {self.timeout_seconds!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class CypherAnswer:
    """A question's rows, and how they came about."""

    cypher: str
    """The statement that was run; empty when none was."""
    parameters: dict[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    repairs: tuple[str, ...] = ()
    """What was mended, in order."""
    truncated: bool = False
    """Whether there were more rows than the limit."""
    reason: str = ""
    """Why there is no statement: the graph does not hold what is asked. Empty when there is one."""
    cut: tuple[str, ...] = ()
    """What of the schema was not shown to the model."""
    remarks: tuple[str, ...] = ()
    """What the server remarks on the statement, such as a property that nothing has."""

    @property
    def answerable(self) -> bool:
        """Whether a statement was run."""
        return not self.reason


@dataclass
class _Attempt:
    """One statement on its way."""

    schema: Schema
    question: str
    settings: Text2CypherSettings
    values: list[GroundedValue]
    repairs: list[str] = field(default_factory=list)

    def mend(self, cypher: str) -> str:
        """The statement after everything that code does to it."""
        if self.settings.code_repairs:
            repaired = repair_cypher(cypher, self.schema, self.question)
            self.repairs += repaired.notes
            cypher = repaired.cypher
        if self.settings.grounding:
            cypher = self._with_real_values(cypher)
        if self.settings.literal_check:
            allowed = [one.value for one in self.values]
            dropped = drop_foreign_literals(cypher, self.schema, self.question, allowed=allowed)
            if dropped.notes:
                self.repairs += dropped.notes
                again = repair_cypher(dropped.cypher, self.schema, self.question)
                cypher = again.cypher if self.settings.code_repairs else dropped.cypher
        return cypher

    def _with_real_values(self, cypher: str) -> str:
        """Texts as the graph writes them, at the property that has them."""
        edits = []
        for literal in literals_of(cypher, self.schema):
            if literal.compared is None or not isinstance(literal.value, str):
                continue
            same = [
                one
                for one in self.values
                if one.property == literal.compared.name
                and one.owner == literal.owner
                and plain(one.value) == plain(literal.value)
            ]
            if same and same[0].value != literal.value and literal.operator == "=":
                edits.append((literal.atom.start, literal.atom.end, quoted(same[0].value)))
                self.repairs.append(f"value: {literal.atom.text} -> {quoted_value(same[0].value)}")
        return edited(cypher, edits)


def text2cypher_steps(
    question: str,
    *,
    settings: Text2CypherSettings,
    prompt: BasePromptTemplate[Any] = CYPHER_PROMPT,
    examples: CypherExamples | None = None,
    embeddings: Embeddings | None = None,
) -> Steps[CypherAnswer]:
    """The steps from a question to its rows.

    Schema, its slice, values, examples; then a statement of the model, mended and checked; then its
    rows. What is still wrong, what the server says, and why there are no rows go back to the model,
    at most `settings.model_repairs` times. A statement that finds nothing counts only when no later
    one finds something.

    Raises:
        ReplyError: The model writes no statement that can be run.
        CypherRefusedError: It only writes statements that are not allowed.
    """
    schema: Schema = yield GetSchema()
    if not schema.nodes:
        return CypherAnswer(cypher="", reason="The graph is empty.")
    part = yield Call(
        lambda: schema.slice(question, token_budget=settings.token_budget, embeddings=embeddings)
    )
    values = (yield from ground_steps(question, part.schema)) if settings.grounding else []
    shown = (
        (yield Call(lambda: examples.select(question, k=settings.n_examples))) if examples else []
    )
    variables = {
        "schema": part.schema.describe(),
        "values": CYPHER_VALUES.format(values=describe_values(values)) if values else "",
        "examples": example_messages(shown),
        "input": question,
    }
    attempt = _Attempt(schema, question, settings, values)
    answer = yield from _attempts(attempt, prompt, variables)
    return _with_cut(answer, part.cut)


def example_messages(examples: list[CypherExample]) -> list[BaseMessage]:
    """Examples as turns of a conversation."""
    return [
        message
        for one in examples
        for message in (
            HumanMessage(f"Question: {one.question}\nCypher:"),
            AIMessage(" ".join(one.cypher.split())),
        )
    ]


def quoted(value: str) -> str:
    """A text as Cypher writes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _attempts(  # noqa: C901, PLR0912, PLR0915 (one loop, told in order)
    attempt: _Attempt, prompt: BasePromptTemplate[Any], variables: dict[str, Any]
) -> Steps[CypherAnswer]:
    again: list[BaseMessage] = []
    empty: CypherAnswer | None = None
    problems: list[str] = []
    failure: CypherError | None = None
    cypher = ""
    for number in range(attempt.settings.model_repairs + 1):
        reply: str = yield Ask(prompt.invoke({**variables, "again": again}))
        cypher = cypher_of_reply(reply)
        if not cypher:
            if empty or number:
                break
            return CypherAnswer(cypher="", reason="The model finds nothing in the graph for it.")
        try:
            cypher = attempt.mend(cypher)
            problems = check_cypher(cypher, attempt.schema)
            if not problems:
                answer = yield from _rows(attempt, cypher)
                if answer.rows:
                    return answer
                empty = empty or answer
                problems = yield from _diagnosis(attempt, cypher)
                if not problems:
                    return answer
                problems += answer.remarks
            failure = None
        except CypherError as error:
            failure, problems = error, [error.reason]
        if number < attempt.settings.model_repairs:
            attempt.repairs.append("the model was told: " + " ".join(problems[:_MOST_TOLD]))
        told = CYPHER_AGAIN.format(
            problems="\n".join(f"- {one}" for one in problems[:_MOST_TOLD]),
            input=attempt.question,
        )
        again = [AIMessage(cypher), HumanMessage(told)]
    if empty is not None:
        return _with_repairs(empty, attempt.repairs)
    if isinstance(failure, CypherRefusedError):
        raise failure
    if failure is None and problems:
        return CypherAnswer(
            cypher="", reason=" ".join(problems[:_MOST_TOLD]), repairs=tuple(attempt.repairs)
        )
    reason = str(failure) if failure else "no statement"
    msg = (
        f"The model wrote no Cypher that can be run: {reason:.500}. Ask in other words, name the "
        "things as the graph does, or give examples."
    )
    raise ReplyError(msg, reply=cypher) from failure


def _rows(attempt: _Attempt, cypher: str) -> Steps[CypherAnswer]:
    """Run it; where nothing is found, with the values that are written nearest."""
    answer = yield from _run(attempt, cypher)
    if answer.rows or not attempt.settings.grounding:
        return answer
    nearer = yield from _nearer(attempt, cypher)
    for candidate, note in nearer:
        try:
            other = yield from _run(attempt, candidate, is_try=True)
        except CypherError:
            continue
        if other.rows:
            attempt.repairs.append(note)
            return _with_repairs(other, attempt.repairs)
    return answer


def _run(
    attempt: _Attempt, cypher: str, *, row_limit: int | None = None, is_try: bool = False
) -> Steps[CypherAnswer]:
    """Run a statement; one of several tries has less time."""
    text, parameters = with_parameters(cypher)
    settings = attempt.settings
    most, seconds = row_limit or settings.row_limit, settings.timeout_seconds
    if is_try:
        seconds = min(seconds, LOOKUP_SECONDS)
    result: ReadResult = yield Read(text, parameters, seconds, most)
    return CypherAnswer(
        cypher=result.cypher,
        parameters=parameters,
        keys=tuple(result.keys),
        rows=tuple(result.rows),
        repairs=tuple(attempt.repairs),
        truncated=result.truncated,
        remarks=result.notifications,
    )


def _nearer(attempt: _Attempt, cypher: str) -> Steps[list[tuple[str, str]]]:
    """The statement with each text replaced by the nearest that there is, or found inside."""
    found = []
    for literal in literals_of(cypher, attempt.schema)[:_MOST_DIAGNOSED]:
        if literal.compared is None or not isinstance(literal.value, str) or not literal.owner:
            continue
        place = (literal.atom.start, literal.atom.end)
        near = yield from nearest_value_steps(
            literal.owner, literal.compared.name, literal.value, attempt.schema
        )
        if near is not None and near != literal.value and literal.operator == "=":
            mended = edited(cypher, [(*place, quoted(near))])
            found.append((mended, f"value: {literal.atom.text} -> {quoted_value(near)}"))
        if literal.access is not None and literal.operator in {"=", "CONTAINS", "STARTS", "ENDS"}:
            own = f"{literal.access.variable.text}.{literal.access.property.text}"
            condition = (literal.access.variable.start, literal.atom.end)
            inside = f"toLower({own}) CONTAINS toLower({literal.atom.text})"
            found.append((edited(cypher, [(*condition, inside)]), f"value: {inside}"))
    return found


def _diagnosis(attempt: _Attempt, cypher: str) -> Steps[list[str]]:
    """Which condition, or else that the pattern itself, leaves no rows."""
    guilty = []
    conditions = conditions_of(cypher)
    for condition in conditions[:_MOST_DIAGNOSED]:
        without = without_condition(cypher, condition)
        try:
            found = yield from _run(attempt, without, row_limit=1, is_try=True)
        except CypherError:
            continue
        if found.rows:
            guilty.append(f"It finds no rows; without the condition `{condition.text}` it does.")
    if guilty or not conditions:
        return guilty or ["It finds no rows: the pattern is nowhere in the graph."]
    bare = cypher
    while left := conditions_of(bare):
        bare = without_condition(bare, left[-1])
    try:
        found = yield from _run(attempt, bare, row_limit=1, is_try=True)
    except CypherError:
        return []
    if found.rows:
        return ["It finds no rows: no two of its conditions hold together."]
    return ["It finds no rows, even without its conditions: the pattern is nowhere in the graph."]


def _with_repairs(answer: CypherAnswer, repairs: list[str]) -> CypherAnswer:
    return CypherAnswer(**{**answer.__dict__, "repairs": tuple(repairs)})


def _with_cut(answer: CypherAnswer, cut: tuple[str, ...]) -> CypherAnswer:
    return CypherAnswer(**{**answer.__dict__, "cut": cut})
