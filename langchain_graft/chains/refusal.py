"""The words with which a chain says that the documents do not hold the answer."""

import re

from langchain_graft.language import language_of
from langchain_graft.sentences import sentences

REFUSALS = {
    "en": "The documents do not contain the answer.",
    "zh": "文档中没有找到答案。",
}
_REFUSING = re.compile(
    r"""
      \bnone\s+of\s+the\s+(?:documents|sources|passages|texts)\b
    | \b(?:the|these|those|any|given|provided)\s+ (?:
          (?:\w+\s+)?(?:documents?|sources?|passages?|contexts?|texts?)
        | provided\s+information )\s+
        (?:(?:provided|given|above|here)\s+)? (?:do(?:es)?|did)\s?n[o'’]t\b [^.]{0,30}?
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
    | (?:没有|未能?)找到[^。]{0,12}(?:答案|信息|内容|资料)
    | ^\s*(?:没有|未)(?:提到|提及|提供)
    | 无法(?:回答|确定|得知|找到)|(?:我)?不知道(?:答案)?[。！]?$
    """,
    re.IGNORECASE | re.VERBOSE,
)


def refusal(question: str) -> str:
    """The refusal in the question's language."""
    return REFUSALS[language_of(question)]


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the documents do not hold it, in these words or others."""
    first = sentences(answer)[:1]
    return not first or bool(_REFUSING.search(first[0]))
