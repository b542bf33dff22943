"""The words with which a chain says that the documents do not hold the answer."""

import re

from langchain_graft.sentences import sentences

_HAN = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LETTER = re.compile(r"[^\W\d_]")

REFUSALS = {
    "en": "The documents do not contain the answer.",
    "zh": "文档中没有找到答案。",
}
_REFUSING = re.compile(
    r"""
      \b(?:documents?|sources?|passages?|context|texts?|information)\b [^.]{0,40}?
        \b(?:do(?:es)?\s?n[o']t|did\s?n[o']t|do(?:es)?\s+not|did\s+not)\b [^.]{0,30}?
        \b(?:contain|provide|mention|state|say|specify|include|give|have|answer)
    | \b(?:I|we)\s+(?:can\s?not|can't|could\s?n[o']t|could\s+not|am\s+unable\s+to|do\s+not|don't)
        \s+(?:find|answer|determine|know)
    | \bthere\s+is\s+no\s+(?:information|mention|answer)\b | ^\s*no\s+information\b
    | \b(?:is|are|was|were)\s+not\s+(?:explicitly\s+)? (?:
        (?:mentioned|provided|stated|specified|given|contained|included)\s+(?:in|by)\s+
          (?:\w+\s+){0,3}(?:documents?|sources?|passages?|context|texts?|information)\b
        | (?:mentioned|provided|stated|specified)\s*(?:[.!\[]|$) )
    | (?:文档|资料|来源|文中|上下文|信息|文本|提供的)[^。]{0,20}
        (?:没有|未|并未|无)[^。]{0,6}(?:找到|提到|提及|提供|说明|包含|给出|回答|答案)
    | (?:没有|未能?)(?:找到|提到|提及|提供)[^。]{0,12}(?:答案|信息|内容|资料)
    | 无法(?:回答|确定|得知|找到)|(?:我)?不知道(?:答案)?[。！]?$
    """,
    re.IGNORECASE | re.VERBOSE,
)


def language_of(text: str) -> str:
    """The language that a text asks to be answered in: "zh" when Chinese dominates, else "en"."""
    if _KANA.search(text):
        return "en"
    han = len(_HAN.findall(text))
    return "zh" if han and 4 * han > len(_LETTER.findall(text)) - han else "en"


def refusal(question: str) -> str:
    """The refusal in the question's language."""
    return REFUSALS[language_of(question)]


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the documents do not hold it, in these words or others."""
    first = sentences(answer)[:1]
    return not first or bool(_REFUSING.search(first[0]))
