"""A writer and critic in one: a model that has the reflection tokens, on our torch engine."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from langchain_core.runnables.config import ensure_config, run_in_executor

from langchain_graft.chains.self_rag.formulas import fluency
from langchain_graft.chains.self_rag.reflected_rows import ReflectedRows, Row, read_next
from langchain_graft.chains.self_rag.reflection_prompt import ReflectionPrompt
from langchain_graft.chains.self_rag.roles import Draft, Judged, Judgement, Written
from langchain_graft.models.compute import compute_pool
from langchain_graft.models.slot_cache import layers_in_slots

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

    from langchain_graft.chains.self_rag.vocabulary import Aspect
    from langchain_graft.models.transformers_chat import TransformersChatModel

T = TypeVar("T")


class ReflectionModel:
    """Writes segments and judges them in one pass, by a model's own reflection tokens.

    All drafts of a segment are one batch, and what their prompts have in common is read once; of
    the logits at a judgement nothing but the labels' is read. A passage can not say a reflection
    token: they are taken out of its text, and its tokens. Documents that do not fit into the
    context are cut.

    The model may be one with adapters: `config["configurable"]["adapter"]` is obeyed, and one
    version serves a whole call. Other replies of the engine go on between two tokens.

    Args:
        model: A chat model on our torch engine; its chat template is not used.
        token_ids: The tokens that stand for the labels (`vocabulary.REFLECTION_TOKENS`) and
            perhaps for `<paragraph>` and `</paragraph>`; None: those of that name.
        together: Whether passages are computed together; False: one after another, which gives the
            same and takes longer.

    Raises:
        ValueError: A token is missing, or two labels have the same one.

    Example:
        >>> model = ReflectionModel(load_chat_model("hf:selfrag/selfrag_llama2_7b"))
        >>> chain = create_self_rag_chain(model, retriever)
    """

    judges: frozenset[Aspect] = frozenset({"relevance", "support", "utility"})

    def __init__(
        self,
        model: TransformersChatModel,
        *,
        token_ids: Mapping[str, int] | None = None,
        together: bool = True,
    ) -> None:
        self._model, self._engine = model, model.engine
        self._prompt = ReflectionPrompt(self._engine.tokenizer, token_ids)
        plain = layers_in_slots(self._engine.model.config) is not None and not getattr(
            self._engine.model.config.get_text_config(decoder=True), "sliding_window", None
        )
        self._together = together and plain

    def write(self, drafts: Sequence[Draft], config: RunnableConfig | None = None) -> list[Written]:
        """See `Writer`."""
        rows = self._rows(drafts)
        with self._variant(config) as variant:
            for batch in self._batches(rows, drafts):
                while batch.has_work:
                    self._engine.run(self._computed(batch.forward, variant)).result()
        return self._written(rows)

    async def awrite(
        self, drafts: Sequence[Draft], config: RunnableConfig | None = None
    ) -> list[Written]:
        """See `Writer`; a task that is cancelled stops it after the current token."""
        rows = await run_in_executor(compute_pool(), self._rows, drafts)
        entered = self._variant(config)
        variant = await run_in_executor(compute_pool(), entered.__enter__)
        try:
            for batch in self._batches(rows, drafts):
                while batch.has_work:
                    work = self._computed(batch.forward, variant)
                    await asyncio.wrap_future(self._engine.run(work))
        finally:
            entered.__exit__(None, None, None)
        return self._written(rows)

    def judge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """See `Critic`."""
        prompts = self._prompts(asked)
        with self._variant(config) as variant:
            found = [
                self._engine.run(self._computed(read, variant)).result()
                for read in self._reads(prompts, asked)
            ]
        return self._judged(found, prompts)

    async def ajudge(
        self, asked: Sequence[Judgement], config: RunnableConfig | None = None
    ) -> list[Judged]:
        """See `Critic`."""
        prompts = await run_in_executor(compute_pool(), self._prompts, asked)
        entered = self._variant(config)
        variant = await run_in_executor(compute_pool(), entered.__enter__)
        try:
            found = [
                await asyncio.wrap_future(self._engine.run(self._computed(read, variant)))
                for read in self._reads(prompts, asked)
            ]
        finally:
            entered.__exit__(None, None, None)
        return self._judged(found, prompts)

    def _rows(self, drafts: Sequence[Draft]) -> list[Row]:
        room = self._engine.context_tokens
        return [
            Row(prompt=self._prompt.of_draft(one, room), has_passage=one.passage is not None)
            for one in drafts
        ]

    def _prompts(self, asked: Sequence[Judgement]) -> list[list[int]]:
        return [self._prompt.of_judgement(one, self._engine.context_tokens) for one in asked]

    def _batches(self, rows: Sequence[Row], drafts: Sequence[Draft]) -> list[ReflectedRows]:
        most = max((one.max_tokens for one in drafts), default=1)
        return [
            ReflectedRows(
                self._engine.model,
                some,
                token_ids=self._prompt.token_ids,
                ends=self._engine.ends,
                max_tokens=most,
            )
            for some in self._parted(rows)
        ]

    def _reads(
        self, prompts: Sequence[list[int]], asked: Sequence[Judgement]
    ) -> list[Callable[[], list[dict[str, float]]]]:
        both = list(zip(prompts, [one.aspect for one in asked], strict=True))
        return [
            partial(
                read_next,
                self._engine.model,
                [prompt for prompt, _ in some],
                [aspect for _, aspect in some],
                self._prompt.token_ids,
            )
            for some in self._parted(both)
        ]

    def _parted(self, rows: Sequence[T]) -> list[list[T]]:
        """Rows in batches: as many as replies that the engine computes together."""
        size = self._engine.settings.parallel if self._together else 1
        return [list(rows[start : start + size]) for start in range(0, len(rows), size)]

    def _computed(self, work: Callable[[], T], variant: Hashable) -> Callable[[], T]:
        def run() -> T:
            with self._engine.computing([variant]):
                return work()

        return run

    @contextmanager
    def _variant(self, config: RunnableConfig | None) -> Iterator[Hashable]:
        """What the model is computed with for a call, held to its end."""
        adapter = ensure_config(config).get("configurable", {}).get("adapter")
        asked = self._model._asked({"adapter": adapter})  # noqa: SLF001 (what a call is computed with)
        try:
            yield asked.variant
        finally:
            if asked.on_end:
                asked.on_end()

    def _written(self, rows: Sequence[Row]) -> list[Written]:
        return [
            Written(
                text=self._engine.tokenizer.decode(row.tokens),
                fluency=fluency(row.logprobs),
                ended=row.ended,
                judged=row.judged,
                tokens=len(row.prompt) + len(row.tokens),
            )
            for row in rows
        ]

    def _judged(
        self, found: Sequence[list[dict[str, float]]], prompts: Sequence[list[int]]
    ) -> list[Judged]:
        every = [one for some in found for one in some]
        return [
            Judged(probabilities=one, tokens=len(prompt))
            for one, prompt in zip(every, prompts, strict=True)
        ]
