"""What a group chat answers, and who found what of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.agents.retrieve_search import document_key
from langchain_graft.chains.refusal import is_refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.documents import Document

    from langchain_graft.agents.group_state import Contribution


def writer_state(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the answer is written from, where several answers stand; None: they do not."""
    stand = [one for one in state["contributions"] if one["supported"]]
    if len(stand) < 2:  # noqa: PLR2004
        return None
    said = "\n".join(f"- {one['agent']}: {_unmarked(one['answer'])}" for one in stand)
    return {"input": state["question"], "context": _cited_by(stand), "said": said}


def final_answer(
    state: Mapping[str, Any], written: Mapping[str, Any] | None, *, max_rounds: int
) -> dict[str, Any]:
    """The keys in which a turn ends."""
    said: list[Contribution] = state["contributions"]
    answering = [one for one in said if one["answer"].strip() and not is_refusal(one["answer"])]
    best = next((one for one in said if one["supported"]), answering[0] if answering else None)
    if written and not is_refusal(written["answer"]):
        made = {key: written[key] for key in ("answer", "context", "citations")}
    elif best:
        context = [_named(one, best["agent"]) for one in best["context"]]
        made = {"answer": best["answer"], "context": context, "citations": best["citations"]}
    else:
        made = {"answer": refusal(state["question"]), "context": [], "citations": []}
    ended = "answered" if best else "nobody_knows"
    if not (best and best["supported"]) and state["rounds"] >= max_rounds:
        ended = "max_rounds"
    return {**made, "found_by": _found_by(made), "ended": ended}


def _found_by(made: Mapping[str, Any]) -> dict[str, list[str]]:
    """Agent to the documents that it found and the answer cites."""
    found: dict[str, list[str]] = {}
    for marker in dict.fromkeys(one["marker"] for one in made["citations"]):
        document = made["context"][marker - 1]
        for agent in str(document.metadata["agent"]).split(", "):
            found.setdefault(agent, []).append(document_key(document))
    return found


def _cited_by(stand: list[Contribution]) -> list[Document]:
    """The documents that the answers cite, each once, with the agents who found it."""
    cited: dict[str, Document] = {}
    for one in stand:
        for marker in dict.fromkeys(citation["marker"] for citation in one["citations"]):
            document = one["context"][marker - 1]
            key = document_key(document)
            names = [str(cited[key].metadata["agent"])] if key in cited else []
            cited[key] = _named(document, ", ".join([*names, one["agent"]]))
    return list(cited.values())


def _named(document: Document, agent: str) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "agent": agent}})


def _unmarked(answer: str) -> str:
    return answer.replace("[", "(").replace("]", ")")
