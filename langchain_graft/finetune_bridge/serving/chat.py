"""A chat model that answers with one adapter or another, as each request asks."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables.config import ensure_config
from pydantic import Field, model_validator

from langchain_graft.finetune_bridge.adapters.ref import BASE
from langchain_graft.finetune_bridge.serving.engine import AdapterEngine
from langchain_graft.models.transformers_chat import Asked, TransformersChatModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.runnables import RunnableConfig


class AdapterChatModel(TransformersChatModel):
    """A chat model on an `AdapterEngine`; `response_metadata["adapter"]` says what answered.

    The adapter is, first found: the call's argument `adapter`, `config["configurable"]["adapter"]`,
    the field. `name` and `name@alias` follow the alias, which is resolved once per request;
    `name@000003` is that version; `base` is the model without adapter. A chain need know nothing of
    it: `chain.invoke(question, {"configurable": {"adapter": "legal"}})`. A stream keeps its version
    in memory to its last piece, or until it is closed.

    Make one with `AdapterEngine.chat_model`.
    """

    adapters: AdapterEngine = Field(exclude=True, repr=False)
    adapter: str = BASE

    @classmethod
    def of_adapters(cls, adapters: AdapterEngine, **settings: Any) -> Self:
        """The chat model of an engine with adapters.

        Args:
            adapters: The engine.
            settings: Fields, `adapter` among them.

        Raises:
            ValueError: A setting is wrong.
        """
        return cls.of_engine(adapters.engine, adapters=adapters, **settings)

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.adapters.engine is not self.engine:
            msg = "engine and adapters.engine must be the same: AdapterEngine.chat_model makes one"
            raise ValueError(msg)
        return self

    @property
    def _llm_type(self) -> str:
        return "transformers-adapters"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, **self._version(self.adapter)}

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 (LangChain's name)
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """See `BaseChatModel`."""
        return super().invoke(input, config, **self._with_version(config, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """See `BaseChatModel`."""
        return await super().ainvoke(input, config, **self._with_version(config, kwargs))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """See `BaseChatModel`; the adapter is that of the moment at which it is first read."""
        yield from super().stream(input, config, **self._with_version(config, kwargs))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """See `BaseChatModel`; the adapter is that of the moment at which it is first read."""
        chunks: Any = super().astream(input, config, **self._with_version(config, kwargs))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def stream_events(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """See `BaseChatModel`."""
        return super().stream_events(input, config, **self._with_version(config, kwargs))

    def astream_events(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """See `BaseChatModel`."""
        return super().astream_events(input, config, **self._with_version(config, kwargs))

    @property
    def token_rows(self) -> dict[str, int]:
        """Tokens that the adapter was trained to know, by what they stand for; none of the base."""
        ref = self.adapters.store.resolve(self.adapter)
        if ref is None:
            return {}
        lora = self.adapters.store.manifest(ref).settings.get("lora") or {}
        return {words: token for token, words in lora.get("token_rows", ())}

    def _with_version(
        self, config: RunnableConfig | None, kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments, the version for which the adapter's name stands now among them."""
        asked = ensure_config(config).get("configurable", {}).get("adapter", self.adapter)
        return {**kwargs, **self._version(kwargs.get("adapter") or asked)}

    def _version(self, adapter: str) -> dict[str, Any]:
        """What answers, as part of every cache's key: another store may have the same name."""
        version = self.adapters.resolve(adapter)
        return {"adapter": version, "adapter_digest": self.adapters.digest(version)}

    def _asked(self, kwargs: Mapping[str, Any]) -> Asked:
        lease = self.adapters.lease(kwargs.get("adapter") or self.adapter)
        return Asked(variant=lease.variant, on_end=lease.release, told={"adapter": lease.adapter})
