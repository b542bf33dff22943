"""Citation marks: read from a model's stream, checked against the documents they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.chains.refusal import is_refusal
from langchain_graft.chains.support import Support, find_support
from langchain_graft.sentences import Span, sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document

    from langchain_graft.chains.types import Citation

# Brackets count as what may stand between numbers, so that no mark is made of what is left of two.
_BETWEEN = r" \t\xa0\u3000,，、;；&^\[【［"
_MARK = re.compile(
    rf"(\s?)([\[【［]++)[{_BETWEEN}]*+(?:(?:source|document|doc|来源|文档|资料)[{_BETWEEN}]*+)?"
    rf"(\d{{1,3}}(?:[{_BETWEEN}–-]++\d{{1,3}})*+)[{_BETWEEN}]*+[\]】］]",
    re.IGNORECASE,
)
_OPEN = re.compile(  # what may yet become a mark, or the number of a list's item
    rf"(?:\s*\n\s*\d+|\s*(?:[\[【［][{_BETWEEN}]*+[^\W\d_]{{0,8}}[{_BETWEEN}\d–-]*+)?)\Z"
)
_NUMBERS = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
_MOST_IN_RANGE = 10
ATTRIBUTED = 0.3
"""Least score of a document that a sentence without a mark is attributed to."""

_OUR_MARK = re.compile(r"\[(\d{1,3})\]")


class CitedAnswer:
    """An answer on its way from the model to the reader.

    What looks like a citation mark becomes `[n]`; one that names no document never leaves. Held
    back are white space at the end, and a piece from `[` on until it closes.

    With `attribute`, a sentence without a mark gets the mark of the document that comes nearest to
    what it says (`find_support`), where one comes near: small models forget their marks.

    Args:
        documents: The context that the answer is written from.
        question: What is answered.
        attribute: Whether to give marks to sentences without one.
    """

    def __init__(
        self, documents: Sequence[Document], *, question: str = "", attribute: bool = True
    ) -> None:
        self._documents = documents
        self._question = question
        self._attribute = attribute
        self._held = ""
        self._sentence = ""
        self.text = ""
        """What has left so far."""

    def push(self, piece: str) -> str:
        """Take a piece from the model; what may leave now."""
        text = self._held + piece
        cut = _OPEN.search(text).start()  # type: ignore[union-attr]
        self._held = text[cut:]
        return self._leave(_MARK.sub(self._check, text[:cut]), last=False)

    def finish(self) -> str:
        """The model has ended: what was held back."""
        text, self._held = self._held.rstrip(), ""
        return self._leave(_MARK.sub(self._check, text), last=True)

    def _check(self, mark: re.Match[str]) -> str:
        numbers = dict.fromkeys(_numbers(mark[3]))
        known = "".join(f"[{n}]" for n in numbers if 1 <= n <= len(self._documents))
        return mark[1] + mark[2][:-1] + known if known else ""

    def _leave(self, text: str, *, last: bool) -> str:
        if not self.text:
            text = text.lstrip()
        if self._attribute:
            text = self._with_marks(text, last=last)
        self.text += text
        return text

    def _with_marks(self, text: str, *, last: bool) -> str:
        """The text, with a mark behind each sentence that ends in it and has none."""
        whole = self._sentence + text
        spans = sentence_spans(whole)
        ended = spans if last else spans[:-1]
        left = len(self._sentence)
        out = ""
        for span in ended:
            out += whole[left : span.end]
            left = max(left, span.end)
            out += self._mark_for(whole[span.start : span.end])
        self._sentence = whole[ended[-1].end :] if ended else whole
        return out + whole[left:]

    def _mark_for(self, sentence: str) -> str:
        if _OUR_MARK.search(sentence) or is_refusal(sentence):
            return ""
        supports = [support_of(sentence, d, question=self._question) for d in self._documents]
        near = [(-s.score, n) for n, s in enumerate(supports, 1) if s and s.score >= ATTRIBUTED]
        if not near:
            return ""
        space = "" if ord(sentence[-1]) > 0x2E80 else " "  # noqa: PLR2004
        return f"{space}[{min(near)[1]}]"


def find_citations(
    answer: str, documents: Sequence[Document], *, question: str = ""
) -> list[Citation]:
    """The citations of an answer, one per sentence and document, in order.

    Args:
        answer: With marks `[n]`, n counting `documents` from 1.
        documents: The context that the answer was written from.
        question: What it answers; words that stood there already count less.

    Returns:
        Each with the document's words that support its sentence, and whether they hold
        (`find_support` says by what rule).
    """
    return [
        _citation(answer, span, number, documents[number - 1], question)
        for span in sentence_spans(answer)
        for number in dict.fromkeys(map(int, _OUR_MARK.findall(answer[span.start : span.end])))
        if 1 <= number <= len(documents)
    ]


def support_of(sentence: str, document: Document, *, question: str = "") -> Support | None:
    """`find_support` in a document; its title, heading and question count as said."""
    keys = ("title", "heading", "question")
    about = " ".join(str(document.metadata[key]) for key in keys if document.metadata.get(key))
    return find_support(sentence, document.page_content, question=question, about=about)


def _citation(answer: str, span: Span, number: int, document: Document, question: str) -> Citation:
    support = support_of(answer[span.start : span.end], document, question=question)
    start, end = support.span if support else (0, 0)
    return {
        "marker": number,
        "document_id": document.id,
        "start_index": span.start,
        "end_index": span.end,
        "cited_text": document.page_content[start:end],
        "document_start": start,
        "document_end": end,
        "verified": bool(support and support.holds),
    }


def _numbers(text: str) -> list[int]:
    """The numbers of a mark such as `1, 3` or `2-4`."""
    numbers: list[int] = []
    for first, last in _NUMBERS.findall(text):
        end = min(int(last or first), int(first) + _MOST_IN_RANGE - 1)
        numbers += range(int(first), end + 1)
    return numbers
