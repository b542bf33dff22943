"""The words with which a chain says that the documents do not hold the answer."""

import re

from langchain_graft.sentences import sentences

_HAN = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")
_ASKS_IN_CHINESE = re.compile(r"谁|什么|哪|何|几|多少|怎|为啥|吗|呢|请|介绍|说说")
_ASKS_IN_ENGLISH = re.compile(
    r"\b(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|did|does|do|can|tell)\b",
    re.IGNORECASE,
)
_ASKING = 3

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


def language_of(text: str) -> str:
    """The language that a question asks to be answered in: "zh" or "en".

    Foreign names stand in questions of both languages: characters are counted against words, and
    the words that make a question count more.
    """
    if _KANA.search(text):
        return "en"
    han, words = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    chinese = han + _ASKING * len(_ASKS_IN_CHINESE.findall(text))
    english = words + _ASKING * len(_ASKS_IN_ENGLISH.findall(text))
    return "zh" if han and chinese >= english else "en"


def refusal(question: str) -> str:
    """The refusal in the question's language."""
    return REFUSALS[language_of(question)]


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the documents do not hold it, in these words or others."""
    first = sentences(answer)[:1]
    return not first or bool(_REFUSING.search(first[0]))
