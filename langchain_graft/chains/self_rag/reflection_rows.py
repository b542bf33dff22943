"""Questions with judgements as the tokens that a model with reflection tokens learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from langchain_core.documents import Document

from langchain_graft.chains.self_rag.roles import Draft, Judgement
from langchain_graft.chains.self_rag.vocabulary import (
    FULLY,
    IRRELEVANT,
    NO_RETRIEVAL,
    PARTIALLY,
    RELEVANT,
    RETRIEVE,
    UNSUPPORTED,
    UTILITY,
)
from langchain_graft.errors import ContextTooLongError
from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens

if TYPE_CHECKING:
    from langchain_graft.chains.self_rag.reflection_prompt import ReflectionPrompt
    from langchain_graft.finetune_bridge.training.rows import ReflectionRow

SUPPORTS = {"fully": FULLY, "partially": PARTIALLY, "none": UNSUPPORTED}


class ReflectionEncoder:
    """Makes of rows the very tokens that `ReflectionModel` reads and writes.

    Only what the model is to say is learned: a question and a passage, whatever stands between
    `<paragraph>` and `</paragraph>`, are read (the reference masks from the first passage to the
    last one, judgements and all). A critic learns the judgements alone, a generator the answers
    and the end as well, but no answer that its passage does not support. A judgement that a row
    has not is read where others come behind it, as relevant where an answer is.

    Args:
        prompt: Of the base.
        end: The token that ends a reply.
        learns: Whose tokens are learned.
        judgement_weight: Of a judgement; a token of an answer counts 1.
    """

    def __init__(
        self,
        prompt: ReflectionPrompt,
        *,
        end: int,
        learns: Literal["critic", "generator"],
        judgement_weight: float,
    ) -> None:
        self._prompt, self._end = prompt, end
        self._is_critic, self._weight = learns == "critic", judgement_weight

    def sequences(self, row: ReflectionRow, *, max_tokens: int) -> list[ChatTokens]:
        """A row's tokens; none where nothing of it is learned, or the question does not fit.

        A passage is cut to what fits, as in serving. What comes behind an answer is learned as far
        as the row has it, in this order: support (of a passage), utility, the end.
        """
        try:
            made = self._made(row, max_tokens)
        except ContextTooLongError:
            return []
        return [one for one in map(_Text.tokens, made) if one.learned]

    def _made(self, row: ReflectionRow, room: int) -> list[_Text]:
        said = self._prompt.told(row.answer)
        passage = Document(page_content=row.passage) if row.passage else None
        asked = Judgement(aspect="retrieve", question=row.question)
        begun = _Text(self._prompt.of_judgement(asked, room))
        decided = RETRIEVE if row.retrieve else NO_RETRIEVAL
        draft = Draft(question=row.question, passage=passage, max_tokens=len(said))
        whole = _Text(self._prompt.of_draft(draft, room))
        place, made = len(begun.ids), []
        if row.retrieve is not None and whole.ids[place] == self._prompt.token_ids[decided]:
            whole.learned[place] = self._weight
        elif row.retrieve is not None:
            self._judge(begun, decided, learned=True)
            made.append(begun)
        if passage:
            label = IRRELEVANT if row.relevance is False else RELEVANT
            self._judge(whole, label, learned=row.relevance is not None)
        if said:
            self._answer(row, whole, said)
        made.append(whole)
        if self._is_critic and row.utility:  # a critic is asked for it without the passage
            asked = Judgement(aspect="utility", question=row.question, segment=row.answer)
            alone = _Text(self._prompt.of_judgement(asked, room))
            self._judge(alone, UTILITY[row.utility - 1], learned=True)
            made.append(alone)
        return made

    def _answer(self, row: ReflectionRow, text: _Text, said: list[int]) -> None:
        is_learned = not self._is_critic and row.support != "none"
        text.add(said, weight=1.0 if is_learned else 0.0)
        if row.passage and row.support is None:
            return
        if row.support is not None:
            self._judge(text, SUPPORTS[row.support], learned=True)
        if row.utility:
            self._judge(text, UTILITY[row.utility - 1], learned=True)
            text.add([self._end], weight=0.0 if self._is_critic else 1.0)

    def _judge(self, text: _Text, label: str, *, learned: bool) -> None:
        text.add([self._prompt.token_ids[label]], weight=self._weight if learned else 0.0)


class _Text:
    """Tokens, and how much those that are learned count, by their places."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = list(ids)
        self.learned: dict[int, float] = {}

    def add(self, ids: list[int], *, weight: float) -> None:
        if weight:
            self.learned.update({len(self.ids) + n: weight for n in range(len(ids))})
        self.ids.extend(ids)

    def tokens(self) -> ChatTokens:
        places = sorted(self.learned)
        weights = tuple(self.learned[place] for place in places)
        return ChatTokens(tuple(self.ids), tuple(places), weights, (len(self.ids),))
