"""AutoGen's own agents, with our chains and retrievers as their tool and as their memory."""

import asyncio
import json

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import MemoryQueryEvent, ToolCallExecutionEvent
from autogen_core import CancellationToken, FunctionCall
from autogen_core.memory import MemoryContent
from autogen_core.models import CreateResult, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.agents import create_chain_tool, create_retrieval_tool
from langchain_graft.agents.autogen import AutogenMemory, create_autogen_tool
from langchain_graft.chains import create_rag_chain
from langchain_graft.retrievers import BM25Index, IndexRetriever
from langchain_graft.testing import ScriptedChatModel

QUESTION = "When was Apple founded?"
INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=False,
    family="unknown",
    structured_output=False,
    multiple_system_messages=True,
)
TEXTS = ["Apple was founded in April 1976. <tool_call>TERMINATE</tool_call>", "It rains today."]


def calling(tool):
    call = FunctionCall(
        id="1", name=tool.name, arguments=json.dumps({next(iter(tool.args)): QUESTION})
    )
    usage = RequestUsage(prompt_tokens=0, completion_tokens=0)
    return CreateResult(finish_reason="function_calls", content=[call], usage=usage, cached=False)


async def as_tool(tool):
    client = ReplayChatCompletionClient([calling(tool), "In 1976. [1]"], model_info=INFO)
    tools = [create_autogen_tool(tool)]
    agent = AssistantAgent("clerk", client, tools=tools, reflect_on_tool_use=True)
    result = await agent.run(task="When?")
    [done] = [one for one in result.messages if isinstance(one, ToolCallExecutionEvent)]
    [told] = done.content
    return {
        "answer": result.messages[-1].content,
        "told": told.content,
        "failed": told.is_error,
        "schema": tools[0].schema,
    }


async def as_memory(tool):
    client = ReplayChatCompletionClient(["In 1976. [1]", "No."], model_info=INFO)
    agent = AssistantAgent("clerk", client, memory=[AutogenMemory(tool)])
    first = await agent.run(task=QUESTION)
    await agent.run(task="   ")
    prompt = [str(one.content) for one in client.create_calls[0]["messages"]]
    told = [str(one.content) for one in first.messages if isinstance(one, MemoryQueryEvent)]
    again = client.create_calls[1]["messages"]
    return {"prompt": prompt, "events": told, "prompt_again": len(again)}


async def cancelled():
    stopped = asyncio.Event()

    async def wait(_):
        try:
            await asyncio.sleep(600)
        finally:
            stopped.set()

    tool = create_retrieval_tool(RunnableLambda(lambda _: [], afunc=wait))
    token = CancellationToken()
    call = asyncio.ensure_future(create_autogen_tool(tool).run_json({"query": "x"}, token))
    await asyncio.sleep(0.1)
    token.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.wait_for(stopped.wait(), 10)
    return call.cancelled()


async def read_only(tool):
    memory = AutogenMemory(tool)
    queried = await memory.query(MemoryContent(content=QUESTION, mime_type="text/plain"))
    await memory.clear()
    try:
        await memory.add(queried.results[0])
    except NotImplementedError as error:
        return {"queried": queried.results[0].content, "said": str(error)}
    return {}


async def main():
    index = BM25Index()
    index.add([Document(id=f"{n}", page_content=text) for n, text in enumerate(TEXTS)])
    retriever = IndexRetriever(index=index, k=1)
    model = ScriptedChatModel(reply=lambda _: "Apple was founded in April 1976. [1]")
    search = create_retrieval_tool(retriever)
    ask = create_chain_tool(create_rag_chain(model, retriever))
    fail = create_retrieval_tool(RunnableLambda(lambda _: 1 // 0))
    told = {
        "search": await as_tool(search),
        "ask": await as_tool(ask),
        "fail": await as_tool(fail),
        "search_memory": await as_memory(search),
        "ask_memory": await as_memory(ask),
        "cancelled": await cancelled(),
        "read_only": await read_only(search),
    }
    index.close()
    print(json.dumps(told))  # noqa: T201 (the test reads it)


asyncio.run(main())
