"""The prompts of a knowledge base."""

from langchain_core.prompts import ChatPromptTemplate

# Own wording, after GPL and InPars (Wang et al., arXiv 2112.07577; Bonifacio et al., arXiv
# 2202.05144), which have a model ask what a passage answers.
QUESTION_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You write the question that a person would ask to whom the passage is the answer. The person has \
not seen the passage. Reply with one question, in the passage's language, and nothing else.""",
        ),
        ("human", "Passage:\n{passage}\n\nQuestion:"),
    ]
)
