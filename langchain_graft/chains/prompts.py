"""The prompts of the chains. Each takes the variables that its chain fills, and can be replaced."""

from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.models.asking import require_variables as require_variables  # noqa: PLC0414 (told here too)

_SYSTEM = "You answer questions from numbered sources, and from nothing else."
_SOURCES_FIRST = "Sources:\n\n{sources}\n\nQuestion: {input}\n\n"

# Own wording. For models that follow several instructions at once.
_RULES = """\
- Use only facts that stand in the sources. Behind each sentence put the number of the source that \
it comes from, such as [2].
- Answer briefly: one to three sentences.
- If the sources do not contain the answer, reply only: {refusal}
- {language_rule}"""
RAG_PROMPT = ChatPromptTemplate.from_messages(
    [("system", f"{_SYSTEM}\n{_RULES}"), ("human", _SOURCES_FIRST.rstrip())]
)

# Own wording. For small models, which do better when they are asked one thing at a time: whether
# there is an answer is asked before (ANSWERABLE_PROMPT), the marks are put in afterwards.
PLAIN_RAG_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _SYSTEM),
        (
            "human",
            _SOURCES_FIRST + "Answer the question in one or two sentences from the sources. "
            "{language_rule}",
        ),
    ]
)

# Own wording. It begins like PLAIN_RAG_PROMPT, so that a server reads the sources only once.
ANSWERABLE_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _SYSTEM),
        (
            "human",
            _SOURCES_FIRST + "Do the sources contain the answer to this question? Reply yes or no.",
        ),
    ]
)

# The instruction of LangChain's create_history_aware_retriever example, shortened.
_CONDENSE = """\
Rewrite the last question so that it can be understood without the conversation: put the names in \
for words such as it, he, she or they. Keep its language. Reply with the question alone. If it can \
be understood as it is, repeat it."""
CONDENSE_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _CONDENSE),
        ("human", "Conversation:\n{conversation}\n\nLast question: {input}\n\nRewritten question:"),
    ]
)
