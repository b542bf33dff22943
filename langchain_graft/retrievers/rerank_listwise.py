"""Documents in the order in which a chat model puts them."""

from __future__ import annotations

import math
import re
import string
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import BasePromptTemplate
from pydantic import ConfigDict, Field, model_validator

from langchain_graft.models.asking import ask_aside, require_variables
from langchain_graft.retrievers.prompts import FIRST_TOKEN_PROMPT, LISTWISE_PROMPT
from langchain_graft.retrievers.rerank import beginning, not_reranked, ranked
from langchain_graft.retrievers.warned import all_warned
from langchain_graft.source_text import source_text, without_control_words

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

WINDOW = 10
UNREAD = "not all reranked: the model's reply named no document"
_MOST_WINDOW = 20  # as many likeliest tokens are told
_TOKENS_EACH = 8
_MOST_QUERY_CHARACTERS = 2000
_NUMBER = re.compile(r"\d+")


class ListwiseReranker(BaseDocumentCompressor):
    """Asks a chat model for the order of documents, window by window, from the back to the front.

    Each window begins half a window before the last one, so that the best of a window take part in
    the next (Sun et al. 2023, RankGPT). Of a model that offers logprobs one token per window is
    asked, the letter of the best document; the log-probabilities of all letters give the order
    (Reddy et al. 2024, FIRST). Other models write the order out.

    Every document comes out, unless `top_n` says otherwise: what a reply does not name keeps its
    order behind what it names. A window whose reply names none keeps its order, with a line in
    `metadata["warnings"]`. `metadata["rerank_score"]` is 1 for the first of n, 1 / n for the last.

    Example:
        >>> reranker = ListwiseReranker(model=load_chat_model("qwen2.5-coder-1.5b"), top_n=5)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: BaseChatModel
    top_n: int | None = Field(default=None, ge=1)
    """How many come out; None: all."""
    window: int = Field(default=WINDOW, ge=2, le=_MOST_WINDOW)
    """How many documents the model sees at once."""
    max_windows: int = Field(default=10, ge=1)
    """Most calls of the model; documents behind what they reach stay where they are."""
    max_document_tokens: int = Field(default=150, ge=1)
    """Most tokens of a document in the prompt, whole sentences of its beginning."""
    prompt: BasePromptTemplate | None = None  # type: ignore[type-arg]  # pydantic takes no other
    """With the variables `passages` and `input`; None: the one for how the model is read."""

    @model_validator(mode="after")
    def _known_variables(self) -> Self:
        require_variables(self._prompt, "passages", "input")
        return self

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The documents, best first."""
        sorting = self._sort(documents, query)
        judge = self._judge()
        config: RunnableConfig = {"callbacks": callbacks}
        try:
            variables = next(sorting)
            while True:
                variables = sorting.send(judge.invoke(variables, config))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 (the order that there is is good enough)
            return not_reranked(documents, error, top_n=self.top_n)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Like `compress_documents`."""
        sorting = self._sort(documents, query)
        judge = self._judge()
        config: RunnableConfig = {"callbacks": callbacks}
        try:
            variables = next(sorting)
            while True:
                variables = sorting.send(await judge.ainvoke(variables, config))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001
            return not_reranked(documents, error, top_n=self.top_n)

    def _sort(
        self, documents: Sequence[Document], query: str
    ) -> Generator[dict[str, Any], BaseMessage, list[Document]]:
        """Gives the variables of each window's prompt, takes the reply; returns the documents."""
        order = list(range(len(documents)))
        texts = [
            beginning(source_text(document), max_tokens=self.max_document_tokens)
            for document in documents
        ]
        unread = False
        for start in window_starts(len(order), self.window, self.max_windows):
            inside = order[start : start + self.window]
            passages = [f"[{self._names[n]}] {texts[of]}" for n, of in enumerate(inside)]
            asked = without_control_words(query)[:_MOST_QUERY_CHARACTERS]
            reply = yield {"input": asked, "passages": "\n\n".join(passages)}
            named = self._read(reply, len(inside))
            unread |= not named
            behind = [n for n in range(len(inside)) if n not in named]
            order[start : start + self.window] = [inside[n] for n in [*named, *behind]]
        scores = [(len(order) - place) / len(order) for place in range(len(order))]
        found = ranked([documents[of] for of in order], scores, top_n=self.top_n)
        return all_warned(found, UNREAD) if unread else found

    @property
    def _reads_first_token(self) -> bool:
        return bool(getattr(self.model, "offers_logprobs", False))

    @property
    def _names(self) -> Sequence[str]:
        return string.ascii_uppercase if self._reads_first_token else range(1, self.window + 1)  # type: ignore[return-value]

    @property
    def _prompt(self) -> BasePromptTemplate[Any]:
        default = FIRST_TOKEN_PROMPT if self._reads_first_token else LISTWISE_PROMPT
        return self.prompt or default

    def _judge(self) -> Runnable[dict[str, Any], BaseMessage]:
        settings = {"logprobs": True, "top_logprobs": _MOST_WINDOW}
        model = (
            ask_aside(self.model, max_tokens=1, **settings)
            if self._reads_first_token
            else ask_aside(self.model, max_tokens=_TOKENS_EACH * self.window)
        )
        return (self._prompt | model).with_config(run_name="rank_window")

    def _read(self, reply: BaseMessage, count: int) -> list[int]:
        if self._reads_first_token:
            return order_of_letters(reply.response_metadata, count)
        return order_of_numbers(str(reply.text), count)


def window_starts(count: int, window: int, most: int) -> list[int]:
    """Where windows over `count` documents begin, the hindmost first, each half a window further.

    The last one begins at 0. With more than `most`, the hindmost are left out.
    """
    step = max(window // 2, 1)
    starts = [0]
    while starts[-1] + window < count:
        starts.append(min(starts[-1] + step, count - window))
    return starts[:most][::-1] if count > 1 else []


def order_of_numbers(reply: str, count: int) -> list[int]:
    """The places, from 0, that a reply such as `[2] > [1]` names, each once."""
    numbers = (int(found[0]) - 1 for found in _NUMBER.finditer(reply) if len(found[0]) <= 2)  # noqa: PLR2004
    return list(dict.fromkeys(number for number in numbers if 0 <= number < count))


def order_of_letters(metadata: Mapping[str, Any], count: int) -> list[int]:
    """The places of the letters among a reply's likeliest first tokens, the likeliest first."""
    content = (metadata.get("logprobs") or {}).get("content") or []
    mass: dict[int, float] = {}
    for candidate in content[0].get("top_logprobs", ()) if content else ():
        letter = candidate["token"].strip(" []().:").upper()
        if len(letter) == 1 and letter in string.ascii_uppercase[:count]:
            place = ord(letter) - ord("A")
            mass[place] = mass.get(place, 0.0) + math.exp(candidate["logprob"])
    return sorted(mass, key=lambda place: (-mass[place], place))
