"""10,000 requests at 50 at a time to `graft serve`'s app: none lost, none mixed up, memory flat.

The server is a process of its own, over a RAG chain that finds one document per question and whose
model replies at once, so that what is measured is the server and the chain. OpenAI's client asks;
every other answer is streamed; each has to be its own question's, with its source. The peer is the
same chain behind a FastAPI route by hand, without keys, limits, time-outs, citations in the reply
or a watch on the client. In turns of 1,000, so that both have the same machine.
"""

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable, RunnableLambda
from report import finish, print_table

from langchain_graft import create_rag_chain
from langchain_graft.server import Served, ServerSettings, create_app, listen
from langchain_graft.server.chat_completions import DONE, event
from langchain_graft.testing import ScriptedChatModel

TURNS, OF_TURN = 10, 1000
PEERS_TURNS = 3
AT_ONCE = 50
KEY = "a-key-of-enough-characters"
NUMBER = re.compile(r"\d+")


def said_of(number: object) -> str:
    """What the document of a number says, and the model."""
    return f"Person {number} likes the number {number} best."


class ForgetfulChatModel(ScriptedChatModel):
    """Keeps no record of what it was asked and said: memory is what is measured."""

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, *args, **kwargs):
            yield chunk
        self.asked.clear()
        self._spoken.clear()


def make_chain() -> Runnable[Any, Any]:
    """Each question has a document, and so an answer, of its own."""

    def find(question: str) -> list[Document]:
        number = question.rsplit(maxsplit=1)[-1]
        return [Document(id=number, page_content=said_of(number))]

    def reply(prompt: str) -> str:
        return said_of(NUMBER.findall(prompt)[-1])

    return create_rag_chain(ForgetfulChatModel(reply=reply), RunnableLambda(find))


def bare_app(chain: Runnable[Any, Any]) -> FastAPI:
    """The peer."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(asked: dict[str, Any]) -> Any:
        question = asked["messages"][-1]["content"]
        if not asked.get("stream"):
            output = await chain.ainvoke(question)
            message = {"role": "assistant", "content": output["answer"]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return {"id": "1", "object": "chat.completion", "created": 0, "choices": [choice]}

        async def events() -> Any:
            async for chunk in chain.astream(question):
                if "answer" in chunk:
                    choice = {"index": 0, "delta": {"content": chunk["answer"]}}
                    told = {"id": "1", "object": "chat.completion.chunk", "created": 0}
                    yield event({**told, "choices": [choice]})
            yield DONE

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


def serve(which: str) -> None:
    """In the server's process."""
    if which == "ours":
        served = Served(chains={"rag": make_chain()}, default="rag")
        settings = ServerSettings(requests_per_minute=None)
        app: Any = create_app(served, settings=settings, api_keys=[KEY])
    else:
        app = bare_app(make_chain())
    listen(app, host="127.0.0.1", port=0, on_ready=lambda url: print(url, flush=True))


class Server:
    """A process with one of the two."""

    def __init__(self, which: str) -> None:
        command = [sys.executable, __file__, which]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def memory(self) -> float:
        """Its resident megabytes."""
        told = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.findall(r"VmRSS:\s+(\d+) kB", told)[0]) / 1024

    def seconds(self) -> float:
        """What it took of a processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(30)


async def ask(client: openai.AsyncOpenAI, number: int) -> tuple[bool, float]:
    """Whether the answer is the question's own, and how long it took."""
    started = time.perf_counter()
    asked: Any = {
        "model": "rag",
        "messages": [{"role": "user", "content": f"Which number likes person {number}"}],
    }
    if number % 2:
        reply = await client.chat.completions.create(**asked)
        answer = reply.choices[0].message.content
    else:
        chunks = await client.chat.completions.create(**asked, stream=True)
        answer = "".join([one.choices[0].delta.content or "" async for one in chunks])
    return answer == f"{said_of(number)} [1]", time.perf_counter() - started


async def turn(server: Server, numbers: range) -> dict[str, Any]:
    """Ask these, so many at a time."""
    results: list[tuple[bool, float]] = []
    lost: list[str] = []
    waiting = iter(numbers)

    async def worker(client: openai.AsyncOpenAI) -> None:
        for number in waiting:
            try:
                results.append(await ask(client, number))
            except openai.APIError as error:
                lost.append(repr(error))

    started, used = time.perf_counter(), server.seconds()
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key=KEY, max_retries=0
    ) as client:
        await asyncio.gather(*(worker(client) for _ in range(AT_ONCE)))
    took = time.perf_counter() - started
    return {
        "answers": len(results),
        "lost": len(lost),
        "failures": lost[:3],
        "wrong": sum(not right for right, _ in results),
        "requests_per_second": len(numbers) / took,
        "median_ms": statistics.median(seconds for _, seconds in results) * 1000,
        "server_ms_of_processor": (server.seconds() - used) / len(numbers) * 1000,
        "memory_mb": server.memory(),
    }


def summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all turns: sums of what must not be, medians of what is measured."""
    told = {name: sum(one[name] for one in turns) for name in ("answers", "lost", "wrong")}
    for name in ("requests_per_second", "median_ms", "server_ms_of_processor"):
        told[name] = round(statistics.median(one[name] for one in turns), 2)
    return told | {"memory_mb": [round(one["memory_mb"], 1) for one in turns]}


def main() -> None:
    ours, bare = Server("ours"), Server("bare")
    turns: dict[str, list[dict[str, Any]]] = {"ours": [], "bare": []}
    try:
        for number in range(TURNS):
            numbers = range(number * OF_TURN, (number + 1) * OF_TURN)
            turns["ours"].append(asyncio.run(turn(ours, numbers)))
            if number < PEERS_TURNS:
                turns["bare"].append(asyncio.run(turn(bare, numbers)))
            print(number, turns["ours"][-1], flush=True)
    finally:
        ours.end()
        bare.end()
    figures = {name: summary(of) for name, of in turns.items()}
    names = ["answers", "lost", "wrong", "requests_per_second", "median_ms"]
    names += ["server_ms_of_processor", "memory_mb"]
    rows = [[name, *(of[one] for one in names)] for name, of in figures.items()]
    print_table(f"{AT_ONCE} at a time", ["", *names], rows)
    finish("serving", figures, packages=["fastapi", "uvicorn", "openai", "langchain-core"])


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(sys.argv[1])
    else:
        main()
