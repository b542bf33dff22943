"""The prompts of the agents. Each takes the variables that its graph fills, and can be replaced."""

from langchain_core.prompts import ChatPromptTemplate

UPDATE_CONTEXT = "UPDATE CONTEXT"
"""The first line of a reply that asks for other documents."""

_SYSTEM = "You are the assistant of a person whose documents are searched for you."
_SOURCES = "Sources:\n\n{sources}\n\nQuestion: {input}\n\n"

# Own wording, after the three prompts of AutoGen's RetrieveUserProxyAgent (default, code, qa).
RETRIEVE_QA_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _SYSTEM),
        (
            "human",
            _SOURCES + "Answer the question as briefly as possible, from the sources alone. "
            "Behind each sentence put the number of the source that it comes from, such as [2]. "
            f"If the sources do not hold the answer, reply only: {UPDATE_CONTEXT}\n"
            "{language_rule}",
        ),
    ]
)
RETRIEVE_CODE_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _SYSTEM),
        (
            "human",
            _SOURCES + "Write the code that is asked for, in one fenced block that names its "
            "language, using what the sources say of the libraries. "
            f"If the sources do not tell what you need to know, reply only: {UPDATE_CONTEXT}",
        ),
    ]
)
RETRIEVE_DEFAULT_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", _SYSTEM),
        (
            "human",
            _SOURCES + "If the question asks for code, write it in one fenced block that names its "
            "language. Otherwise answer in one to three sentences and put behind each the number "
            "of the source that it comes from, such as [2]. "
            f"If the sources do not tell what you need to know, reply only: {UPDATE_CONTEXT}\n"
            "{language_rule}",
        ),
    ]
)

# Own wording.
NEXT_SPEAKER_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            """\
Several assistants can be asked, each with sources of its own:

{agents}

Question: {input}

{so_far}Which of them should be asked next? Reply with its name alone.""",
        )
    ]
)
GROUP_ANSWER_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "You answer questions from numbered sources, and from nothing else."),
        (
            "human",
            """\
Sources:

{sources}

Question: {input}

Assistants who read them say:
{said}

Answer the question in one or two sentences from the sources. Behind each sentence put the number \
of the source that it comes from, such as [2]. {language_rule}""",
        ),
    ]
)
