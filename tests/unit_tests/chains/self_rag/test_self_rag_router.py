"""The decisions alone, in front of any chain."""

import pytest

from langchain_graft.chains import (
    PromptedCritic,
    Route,
    SelfRagSettings,
    create_default_router,
    create_plain_chain,
    create_rag_chain,
    create_router,
    create_self_rag_decider,
    create_self_rag_router,
)
from langchain_graft.testing import ScriptedChatModel

QUESTION = "Who founded Apple?"


def replies(prompt):
    """Documents are needed but for sums; the one on the price does not help."""
    if "look up" in prompt:
        return "no" if "2 + 2" in prompt else "yes"
    if "Does the passage say" in prompt:
        return "no" if "666.66" in prompt else "yes"
    return "Four." if "2 + 2" in prompt else "Jobs [1]."


@pytest.fixture
def model():
    return ScriptedChatModel(reply=replies)


async def _invoke(chain, given, config=None):
    return chain.invoke(given, config)


async def _ainvoke(chain, given, config=None):
    return await chain.ainvoke(given, config)


async def _abatch(chain, given, config=None):
    return (await chain.abatch([given], config))[0]


@pytest.fixture(params=[_invoke, _ainvoke, _abatch])
def ask(request):
    return request.param


@pytest.mark.parametrize("given", [QUESTION, {"input": QUESTION}], ids=["str", "dict"])
async def test_the_documents_that_help_come_out(model, retriever, ask, given):
    found = await ask(create_self_rag_router(model, retriever), given)
    assert found["retrieve"]
    assert found["probability"] == pytest.approx(0.9)
    assert [one.id for one in found["context"]] == ["founders", "zh"]
    assert found["relevances"] == [pytest.approx(0.9)] * 2
    assert found["left_out"] == found["warnings"] == []
    assert len(model.asked) == 1 + 3


async def test_what_needs_none_has_none(model, retriever, ask):
    found = await ask(create_self_rag_router(PromptedCritic(model), retriever), "What is 2 + 2?")
    assert not found["retrieve"]
    assert found["context"] == found["relevances"] == retriever.queries == []


async def test_settings_of_a_call_hold(model, retriever, ask):
    router = create_self_rag_router(model, retriever, settings=SelfRagSettings(threshold=0.95))

    async def asked(**settings):
        return await ask(router, QUESTION, {"configurable": settings})

    assert not (await asked())["retrieve"]
    assert (await asked(self_rag={"threshold": 0.5}))["retrieve"]
    always = await asked(self_rag={"retrieval": "always"}, k=1)
    assert [one.id for one in always["context"]] == ["founders"]
    assert always["probability"] is None


async def test_without_a_budget_documents_are_left_to_the_chain(model, retriever, ask):
    found = await ask(
        create_self_rag_router(model, retriever),
        QUESTION,
        {"configurable": {"self_rag": {"max_calls": 0}}},
    )
    assert found["retrieve"]
    assert found["context"] == model.asked == []


async def test_it_decides_between_two_routes(model, retriever, run):
    routes = [
        Route("alone", "Sums.", create_plain_chain(model)),
        Route("rag", "Facts.", create_rag_chain(model, retriever)),
    ]
    decider = create_self_rag_decider(model, retrieve="rag", otherwise="alone")
    router = create_router(routes, decider=decider, fallback="rag")
    assert (await run(router, "What is 2 + 2?"))["route"] == "alone"
    assert (await run(router, QUESTION))["route"] == "rag"


async def test_the_default_router_may_ask_a_critic(model, retriever, run):
    router = create_default_router(model, retriever, critic=model)
    alone = await run(router, "What is 2 + 2?")
    assert (alone["route"], alone["answer"], alone["context"]) == ("alone", "Four.", [])
    found = await run(router, QUESTION)
    assert (found["route"], found["answer"]) == ("rag", "Jobs [1].")
    asked = len(model.asked)
    assert (await run(router, "Hello!"))["route"] == "talk"  # the rules come first
    assert len(model.asked) == asked + 1


def test_a_critic_that_can_not_tell_decides_nothing(retriever):
    unclear = ScriptedChatModel(reply=lambda prompt: "???")
    decider = create_self_rag_decider(unclear, retrieve="rag", otherwise="alone")
    assert decider.invoke(QUESTION) is None
    assert create_self_rag_router(unclear, retriever).invoke(QUESTION)["retrieve"]


def test_numbers_that_are_no_probabilities_are_refused(model, retriever):
    with pytest.raises(ValueError, match="least_relevance must lie"):
        create_self_rag_router(model, retriever, least_relevance=2)
    with pytest.raises(ValueError, match="threshold must lie"):
        create_self_rag_decider(model, retrieve="rag", otherwise="alone", threshold=-1)
