"""A chat model that answers with one adapter or another, as each request asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables.config import ensure_config
from pydantic import Field, model_validator

from langchain_graft.finetune_bridge.adapter_engine import AdapterEngine
from langchain_graft.finetune_bridge.adapter_ref import BASE
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
        return {**super()._identifying_params, "adapter": self.adapters.resolve(self.adapter)}

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
        """See `BaseChatModel`."""
        return super().stream(input, config, **self._with_version(config, kwargs))

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """See `BaseChatModel`."""
        return super().astream(input, config, **self._with_version(config, kwargs))

    def _with_version(
        self, config: RunnableConfig | None, kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments, the version for which the adapter's name stands now among them.

        It is part of every cache's key.
        """
        asked = ensure_config(config).get("configurable", {}).get("adapter", self.adapter)
        return {**kwargs, "adapter": self.adapters.resolve(kwargs.get("adapter") or asked)}

    def _prepare(self, kwargs: Mapping[str, Any]) -> None:
        self.adapters.lease(kwargs.get("adapter") or self.adapter).release()

    def _asked(self, kwargs: Mapping[str, Any]) -> Asked:
        lease = self.adapters.lease(kwargs.get("adapter") or self.adapter)
        return Asked(variant=lease.variant, on_end=lease.release, told={"adapter": lease.adapter})
