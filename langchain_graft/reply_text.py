"""What stands around the text that a model was asked for."""

import re

from langchain_graft.source_text import without_control_words

LIST_MARKER = re.compile(  # at the beginning
    r"""\A\s*(?:
        [-*•·‣▪◦–—+]+(?=\s) | [•·‣▪◦] | [#>]+
      | [(（\[]\s*(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4}|[一二三四五六七八九十]{1,2})\s*[)）\]]
      | \d{1,2}\s*(?:[.)、）．:：](?!\d)|(?=\s*[-–]\s))
      | [a-zA-Z]\)(?=\s) | [一二三四五六七八九十]{1,2}[、.．] | [①-⑳⑴-⒇]
    )\s*""",
    re.VERBOSE,
)
"""The mark before an item of a list."""
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)


def plain_reply(reply: str) -> str:
    """A reply without thoughts, control words, fences and bold type."""
    return _FENCE.sub("", without_control_words(_THOUGHT.sub("", reply))).replace("**", "")
