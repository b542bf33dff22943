"""A chain's stages, all in one step, so that closing its stream stops what would follow."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator, RunnableLambda
from langchain_core.runnables.utils import AddableDict

from langchain_graft.chains.inputs import as_input
from langchain_graft.chains.types import RagInput, RagOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Iterator, Mapping

    Stage = Runnable[Mapping[str, Any], Mapping[str, Any]]
    Last = Callable[[Mapping[str, Any]], tuple[Runnable[Any, Any], Mapping[str, Any]]]


def create_staged_chain(  # noqa: C901 (the same step twice, sync and async)
    *stages: Stage, last: Runnable[Any, Any] | Last, name: str
) -> Runnable[str | RagInput, RagOutput]:
    """A chain from a question: stages that add keys to it, then one that is streamed.

    Not composed by `|` and `.assign`: where a stream is closed, LangChain runs the steps before the
    last to their end, and what works in a task beside it is not stopped by a cancelled call.

    Args:
        stages: Each from what there is so far to the keys that it adds.
        last: Streams the rest; or a function to another chain and what that one is asked. Keys that
            are there already are not passed on again.
        name: Of the chain in a trace.

    Raises:
        TypeError: In a run: the last one gives no dicts.
    """

    def ending(state: Mapping[str, Any]) -> tuple[Runnable[Any, Any], Mapping[str, Any]]:
        return (last, state) if isinstance(last, Runnable) else last(state)

    def run(chunks: Iterator[dict[str, Any]], config: RunnableConfig) -> Iterator[AddableDict]:
        state = AddableDict()
        for chunk in chunks:
            state += AddableDict(chunk)
            yield AddableDict(chunk)
        for stage in stages:
            for new in _parts(stage.invoke(state, config)):
                state += new
                yield new
        chain, given = ending(state)
        with closing(chain.stream(given, config)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                if new := _new(piece, state):
                    yield new

    async def arun(
        chunks: AsyncIterator[dict[str, Any]], config: RunnableConfig
    ) -> AsyncIterator[AddableDict]:
        state = AddableDict()
        async for chunk in chunks:
            state += AddableDict(chunk)
            yield AddableDict(chunk)
        for stage in stages:
            for new in _parts(await stage.ainvoke(state, config)):
                state += new
                yield new
        chain, given = ending(state)
        async with aclosing(chain.astream(given, config)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if new := _new(piece, state):
                    yield new

    staged: Runnable[Any, Any] = RunnableGenerator(run, arun, name="run_stages")  # type: ignore[arg-type]
    chain: Runnable[Any, Any] = RunnableLambda(as_input, name="read_input") | staged
    return chain.with_types(input_type=str | RagInput, output_type=RagOutput).with_config(  # type: ignore[arg-type]
        run_name=name
    )


def _parts(made: Mapping[str, Any]) -> list[AddableDict]:
    return [AddableDict({key: value}) for key, value in made.items()]


def _new(chunk: Any, known: Container[str]) -> AddableDict:
    if not isinstance(chunk, dict):
        msg = (
            f"A chain that is handed a question over has to give a dict with 'answer', not "
            f"{chunk!r:.80}: make it by create_plain_chain or create_rag_chain"
        )
        raise TypeError(msg)
    return AddableDict({key: value for key, value in chunk.items() if key not in known})
