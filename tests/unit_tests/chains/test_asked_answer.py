"""What a call asks of the answer: sampling, and instructions of its own."""

from langchain_core.prompts import ChatPromptTemplate
from pydantic import PrivateAttr

from langchain_graft.chains import create_rag_chain
from langchain_graft.testing import ScriptedChatModel


class NotingChatModel(ScriptedChatModel):
    """Notes the settings that it is called with."""

    _settings: list[dict] = PrivateAttr(default_factory=list)

    @property
    def settings(self):
        return self._settings

    def _stream(self, messages, stop=None, run_manager=None, **settings):
        self._settings.append(settings)
        yield from super()._stream(messages, stop, run_manager)

    async def _astream(self, messages, stop=None, run_manager=None, **settings):
        self._settings.append(settings)
        async for piece in super()._astream(messages, stop, run_manager):
            yield piece


ASKED = {"temperature": 0.5, "top_p": 0.9, "seed": 3}
QUESTION = "Who founded Apple?"
ANSWER = "Steve Jobs and Steve Wozniak founded Apple."


async def test_sampling_is_that_of_the_call(create_chain, retriever, run):
    model = NotingChatModel(reply=lambda _: ANSWER)
    chain = create_chain(model, retriever)
    await run(chain, QUESTION, {"configurable": ASKED})
    await run(chain, QUESTION)
    await run(chain, QUESTION, {"configurable": {"temperature": None, "instructions": ""}})
    assert model.settings == [ASKED, {}, {}]
    assert model.asked[0] == model.asked[1] == model.asked[2]


async def test_instructions_stand_behind_the_prompt_s_own(create_chain, retriever, run):
    model = NotingChatModel(reply=lambda _: ANSWER)
    chain = create_chain(model, retriever)
    plain = await run(chain, QUESTION)
    told = await run(chain, QUESTION, {"configurable": {"instructions": "Speak {like} a pirate."}})
    (before, *rest), (system, *rest_told) = model.asked
    assert system.type == "system"
    assert system.text == f"{before.text}\n\nSpeak {{like}} a pirate."
    assert rest == rest_told
    assert told == plain


async def test_instructions_come_first_where_a_prompt_has_no_system_message(retriever, run):
    model = NotingChatModel(reply=lambda _: ANSWER)
    prompt = ChatPromptTemplate.from_messages([("human", "{sources} {input}")])
    chain = create_rag_chain(model, retriever, prompt=prompt)
    await run(chain, QUESTION, {"configurable": {"instructions": "Be brief."}})
    assert [one.type for one in model.asked[0]] == ["system", "human"]
    assert model.asked[0][0].text == "Be brief."


async def test_what_is_asked_aside_is_not_sampled(retriever, run, create_chain):
    model = NotingChatModel(reply=lambda _: ANSWER)
    given = {"input": "When?", "chat_history": [("human", QUESTION), ("ai", ANSWER)]}
    await run(create_chain(model, retriever), given, {"configurable": ASKED})
    *aside, answering = model.settings
    assert all("temperature" not in settings for settings in aside)
    assert answering == ASKED
