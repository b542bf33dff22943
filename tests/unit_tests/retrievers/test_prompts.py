"""Each prompt as it is sent."""

import pytest

from langchain_graft.retrievers.rewriters.decomposition import create_decomposition_rewriter
from langchain_graft.retrievers.rewriters.hyde import create_hyde_rewriter
from langchain_graft.retrievers.rewriters.multi_query import create_multi_query_rewriter
from langchain_graft.retrievers.rewriters.rephrase import create_rephrase_rewriter
from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter
from langchain_graft.testing import ScriptedChatModel

REWRITERS = {
    "multi_query": create_multi_query_rewriter,
    "step_back": create_step_back_rewriter,
    "hyde": create_hyde_rewriter,
    "decomposition": create_decomposition_rewriter,
    "rephrase": create_rephrase_rewriter,
}


def as_text(messages):
    return "\n\n".join(f"<{message.type}>\n{message.text}" for message in messages)


@pytest.mark.parametrize("question", ["{input}", "谁？"], ids=["en", "zh"])
@pytest.mark.parametrize("name", REWRITERS)
def test_what_a_rewriter_sends(name, question, snapshot):
    model = ScriptedChatModel(script=["NONE"])
    REWRITERS[name](model).invoke(question)
    assert as_text(model.asked[0]) == snapshot
