"""The critic of a group chat: an answer stands when its documents hold what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_graft.chains.citations import find_citations
from langchain_graft.chains.refusal import is_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_graft.agents.group_state import Contribution


def judged(agent: str, output: Mapping[str, Any], question: str) -> Contribution:
    """An agent's answer with the critic's judgement; citations are checked anew, by our rule.

    It stands when it answers, cites, and each of its citations holds. The agent's own citations
    count for nothing: only what its documents say does.
    """
    answer = str(output.get("answer") or "")
    context = list(output.get("context") or [])
    citations = find_citations(answer, context, question=question)
    criticism = ""
    if not answer.strip() or is_refusal(answer):
        criticism = "it does not answer"
    elif not citations:
        criticism = "it cites nothing"
    elif wrong := [one for one in citations if not one["verified"]]:
        criticism = f"{len(wrong)} of {len(citations)} citations do not hold"
    return {
        "agent": agent,
        "answer": answer,
        "context": context,
        "citations": citations,
        "supported": not criticism,
        "criticism": criticism,
    }
