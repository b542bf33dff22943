"""Answers that are searched for, segment by segment, and judged as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda
from langchain_core.runnables.utils import AddableDict

from langchain_graft.chains.citations import find_citations
from langchain_graft.chains.inputs import question_of
from langchain_graft.chains.rag import RagSettings, create_grounded_retrieval_step
from langchain_graft.chains.refusal import refusal
from langchain_graft.chains.self_rag.critic_prompted import PromptedCritic
from langchain_graft.chains.self_rag.driver import Driver, Retrieved
from langchain_graft.chains.self_rag.paths import document_key, joined, told
from langchain_graft.chains.self_rag.roles import Critic, Writer
from langchain_graft.chains.self_rag.settings import SelfRagSettings
from langchain_graft.chains.self_rag.vocabulary import REFLECTION_TOKENS
from langchain_graft.chains.self_rag.writer_chat import ChatWriter
from langchain_graft.chains.staged import create_staged_chain
from langchain_graft.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import RetrieverLike

    from langchain_graft.chains.self_rag.correction import RetrievalCorrection
    from langchain_graft.chains.self_rag.paths import Path
    from langchain_graft.chains.self_rag.search import Found
    from langchain_graft.chains.types import RagInput, RagOutput, SelfRagSegment

CONFIGURABLE = "self_rag"


def create_self_rag_chain(
    model: BaseChatModel | Writer,
    retriever: RetrieverLike,
    *,
    critic: Critic | BaseChatModel | None = None,
    settings: SelfRagSettings | None = None,
    correction: RetrievalCorrection | None = None,
    choices: Sequence[str] = (),
    **rag_settings: Unpack[RagSettings],
) -> Runnable[str | RagInput, RagOutput]:
    """A chain that decides when to look something up, and judges what it writes (Self-RAG).

    For each segment of the answer: a critic says whether documents are needed; the retriever is
    asked with the question and the last segment; a segment is written from each document alone, and
    judged: is the document relevant, does it support the segment, is the segment useful. The
    segments that score highest are carried on (Asai et al., Self-RAG, 2023; here the answer is the
    one with the highest mean, and retrieval is done anew for each segment).

    The output is that of `create_rag_chain`, with `segments`: for each segment of the answer what
    was decided, every probability, and what else it could have been. `context` holds the documents
    that the answer's segments were chosen from; each sentence is marked with that of its segment,
    and checked. A segment without a document has no mark. Where documents are needed and none are
    found, or no draft is an answer, the answer is a refusal.

    All fields of `SelfRagSettings` can be set per call, in `config["configurable"]["self_rag"]`:
    `{"threshold": 0.5, "weight_support": 2.0, "max_calls": 40}`. `k`, `filter`, `weights` (of a
    retriever that fuses) and `budget` mean what they do in `create_rag_chain`. As the budget of
    calls, tokens or seconds runs short, `segments` and `warnings` say what was done without:
    utility, then other beginnings of the answer, then other documents, then the critic.

    The answer comes when it is chosen: a stream brings `segments` and `context`, then the answer
    segment by segment.

    Args:
        model: What writes. One on our torch engine whose tokenizer, or adapter (`train_self_rag`),
            has the reflection tokens writes and judges in one pass (`ReflectionModel`); any other
            chat model is asked in words.
        retriever: Any LangChain retriever, or a Runnable from a question to documents.
        critic: What judges; None: the model itself.
        settings: How it decides, and what it may spend.
        correction: What is done where retrieval is bad; None: nothing.
        choices: The answers that there are, for `mode="closed"`.
        rag_settings: As for `create_rag_chain`; `prompt` (with `passage`, `input` and `task`) is
            for a segment; `order`, `check` and `attribute` have no meaning here.

    Raises:
        ValueError: A prompt lacks a variable; in a run: a setting of the call can not be used.

    Example:
        >>> chain = create_self_rag_chain(load_chat_model("qwen2.5-coder-1.5b"), retriever)
        >>> output = chain.invoke("Who founded Apple?")
        >>> output["segments"][0]["probability"]
        0.93
    """
    chosen = settings or SelfRagSettings()
    driver = create_driver(
        model, retriever, critic=critic, correction=correction, choices=choices, **rag_settings
    )

    def search(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked = settings_of(chosen, config)
        return _output(*driver.search(state, asked, config), asked)

    async def asearch(state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        asked = settings_of(chosen, config)
        return _output(*(await driver.asearch(state, asked, config)), asked)

    return create_staged_chain(
        RunnableLambda(search, asearch, name="search_segments"),
        last=RunnableGenerator(_tell, _atell, name="tell_answer"),  # type: ignore[arg-type]
        name="self_rag_chain",
    )


def create_driver(
    model: BaseChatModel | Writer,
    retriever: RetrieverLike,
    *,
    critic: Critic | BaseChatModel | None = None,
    correction: RetrievalCorrection | None = None,
    choices: Sequence[str] = (),
    **rag_settings: Unpack[RagSettings],
) -> Driver:
    """Who writes, judges and retrieves; arguments as for `create_self_rag_chain`."""
    model = _reflecting(model)
    judging = as_critic(model if critic is None else critic)

    def retrieval(of: RetrieverLike) -> Any:
        return create_grounded_retrieval_step(model, of, **rag_settings)  # type: ignore[arg-type]

    fallback = correction.fallback if correction else None
    return Driver(
        writer=_as_writer(model, choices, rag_settings),
        critic=judging,
        retrieval=retrieval(retriever),
        fallback=retrieval(fallback) if fallback is not None else None,
        correction=correction,
    )


def settings_of(settings: SelfRagSettings, config: RunnableConfig) -> SelfRagSettings:
    """The settings of a call.

    Raises:
        ValueError: One of them can not be used.
    """
    return settings.changed(config.get("configurable", {}).get(CONFIGURABLE))


def _reflecting(model: Any) -> Any:
    """The model by its own reflection tokens, where it is on our torch engine and has them."""
    engine = getattr(model, "engine", None)
    if engine is None:
        return model
    trained = getattr(model, "token_rows", {})
    known = trained or engine.tokenizer.fast.get_vocab()
    if not set(REFLECTION_TOKENS) <= known.keys():
        return model
    from langchain_graft.chains.self_rag.reflection_model import (  # noqa: PLC0415 (an extra)
        ReflectionModel,
    )

    return ReflectionModel(model, token_ids=trained or None)


def _as_writer(
    model: BaseChatModel | Writer, choices: Sequence[str], rag_settings: RagSettings
) -> Writer:
    if isinstance(model, Writer):
        return model
    prompt = rag_settings.get("prompt")
    given = {} if prompt is None else {"prompt": prompt}
    return ChatWriter(model, choices=choices, **given)


def as_critic(model: BaseChatModel | Writer | Critic) -> Critic:
    """A critic as it is; a chat model as one.

    Raises:
        ValueError: It writes and does not judge.
    """
    model = _reflecting(model)
    if isinstance(model, Critic):
        return model
    if isinstance(model, Writer):
        msg = f"{type(model).__name__!r} writes and does not judge: give a critic"
        raise ValueError(msg)  # noqa: TRY004 (what is missing is an argument)
    return PromptedCritic(model)


def _output(found: Found, retrieved: Retrieved, settings: SelfRagSettings) -> dict[str, Any]:
    context = _context(found.best)
    markers = {document_key(one): n for n, one in enumerate(context, 1)}
    return {
        "segments": told(found.best, settings, markers),
        "context": context,
        "left_out": retrieved.without_room,
        "warnings": [*retrieved.warnings, *found.notes],
    }


def _context(path: Path) -> list[Document]:
    """The documents that the path's segments were chosen from, each once, of those cut the most."""
    longest: dict[str, Document] = {}
    for level in path.levels:
        for one in level.documents:
            known = longest.setdefault(document_key(one), one)
            if len(one.page_content) > len(known.page_content):
                longest[document_key(one)] = one
    return list(longest.values())


def _pieces(state: Mapping[str, Any]) -> list[AddableDict]:
    """The answer in its segments, then the citations."""
    texts = [_marked(one) for one in state["segments"] if one["text"]]
    if not texts:
        return [AddableDict(answer=refusal(question_of(state)), citations=[])]
    whole = [joined(texts[: n + 1]) for n in range(len(texts))]
    before = ["", *whole]
    pieces = [AddableDict(answer=now[len(was) :]) for was, now in zip(before, whole, strict=False)]
    citations = find_citations(whole[-1], state["context"], question=question_of(state))
    return [*pieces, AddableDict(citations=citations)]


def _marked(segment: SelfRagSegment) -> str:
    """A segment with the mark of its document behind each sentence."""
    [chosen] = [one for one in segment["candidates"] if one["chosen"]]
    text, marker = segment["text"], chosen["marker"]
    if marker is None:
        return text
    marked = ""
    place = 0
    for _, end in sentence_spans(text):
        space = "" if ord(text[end - 1]) > 0x2E80 else " "  # noqa: PLR2004
        marked += f"{text[place:end]}{space}[{marker}]"
        place = end
    return marked + text[place:]


def _tell(chunks: Iterator[dict[str, Any]], config: RunnableConfig) -> Iterator[AddableDict]:  # noqa: ARG001 (as LangChain calls it)
    state = AddableDict()
    for chunk in chunks:
        state += AddableDict(chunk)
        yield AddableDict(chunk)
    yield from _pieces(state)


async def _atell(
    chunks: AsyncIterator[dict[str, Any]],
    config: RunnableConfig,  # noqa: ARG001
) -> AsyncIterator[AddableDict]:
    state = AddableDict()
    async for chunk in chunks:
        state += AddableDict(chunk)
        yield AddableDict(chunk)
    for piece in _pieces(state):
        yield piece
