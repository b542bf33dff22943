"""The prompts of the retrievers. Each can be replaced by one with the same variables."""

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

LANGUAGE_RULES = {
    "en": "Write in the language of the question.",
    "zh": "用中文写 (write in Chinese).",
}

# After LangChain's MultiQueryRetriever ("generate different versions of the given user question to
# retrieve relevant documents") and the kinds of difference that Raudaschl's rag-fusion names.
MULTI_QUERY_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You write search queries. For the question you are given, write {n} other questions that the same \
documents would answer, one per line, without numbers or comments: one in other words, one more \
specific, one more general, one with other names or spellings of the thing. No two may be alike, \
and all must be about what the question is about. Correct spelling mistakes. Keep names, numbers \
and dates. Do not answer the question. {language_rule}""",
        ),
        MessagesPlaceholder("examples"),
        ("human", "{input}"),
    ]
)
# Own examples; a small model writes in the language of the examples, so each language has its own.
MULTI_QUERY_EXAMPLES = {
    "en": [
        (
            "Who was the frist person to climb Mount Everest?",
            """\
Who reached the top of Mount Everest first?
Which climbers made the first ascent of Mount Everest?
What is the history of climbing Mount Everest?
Who first climbed Chomolungma (Sagarmatha)?""",
        ),
        (
            "opening hours louvre museum 2024",
            """\
When is the Louvre museum open in 2024?
At what time does the Louvre open and close on each day of the week in 2024?
What should a visitor of the Louvre know in 2024?
Musée du Louvre visiting times 2024""",
        ),
    ],
    "zh": [
        (
            "长城有多长？",
            """\
长城的总长度是多少公里？
明长城全长多少千米？
长城的规模和基本数据有哪些？
万里长城的长度是多少？""",
        ),
        (
            "感冒吃什么药好的快",
            """\
治疗感冒的药物有哪些？
普通感冒应该服用哪些药才能尽快恢复？
感冒应当怎样治疗？
伤风或上呼吸道感染用什么药？""",
        ),
    ],
}

# Zheng et al., Take a Step Back (2023), appendix: the instruction.
STEP_BACK_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You are an expert at world knowledge. Your task is to step back and paraphrase a question to a \
more generic step-back question, which is easier to answer. {language_rule}""",
        ),
        MessagesPlaceholder("examples"),
        ("human", "{input}"),
    ]
)
# The first three pairs are those of the same appendix for questions of knowledge; the others ours.
STEP_BACK_EXAMPLES = {
    "en": [
        (
            "Which position did Knox Cunningham hold from May 1955 to Apr 1956?",
            "Which positions have Knox Cunningham held in his career?",
        ),
        (
            "Who was the spouse of Anna Karina from 1968 to 1974?",
            "Who were the spouses of Anna Karina?",
        ),
        (
            "Which team did Thierry Audel play for from 2007 to 2008?",
            "Which teams did Thierry Audel play for in his career?",
        ),
        ("Who founded Nokia?", "What is the history of Nokia?"),
        (
            "Why does milk left on the table for two days taste sour?",
            "What happens to milk when it goes bad?",
        ),
        ("Is Mount Kenya higher than Mount Meru?", "What are the highest mountains of Africa?"),
    ],
    "zh": [
        ("王安石在1070年担任什么官职？", "王安石一生担任过哪些官职？"),
        ("安娜·卡里娜1968年到1974年的配偶是谁？", "安娜·卡里娜有过哪些配偶？"),
        ("华为是谁创办的？", "华为公司的历史是怎样的？"),
        ("为什么高原上煮不熟米饭？", "气压怎样影响水的沸点？"),
        ("泰山比华山高吗？", "中国的五岳各有多高？"),
    ],
}

# Gao et al., HyDE (2023), appendix A: the instruction for web search. The middle is ours.
HYDE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            """\
Please write a passage to answer the question. Write three or four sentences, as they would stand \
in a reference book. {language_rule}
Question: {input}
Passage:""",
        )
    ]
)

# Own wording, after the decomposition of Press et al., Measuring and Narrowing the
# Compositionality Gap in Language Models (2022).
DECOMPOSITION_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You split a question into the simple questions that have to be looked up to answer it: at most \
{n}, one per line, without numbers or comments. Each must be understood alone: put the names in, \
do not write it, he, she or they. Do not answer. If the question asks for one thing only, reply \
only: NONE. {language_rule}""",
        ),
        MessagesPlaceholder("examples"),
        ("human", "{input}"),
    ]
)
# Own examples.
DECOMPOSITION_EXAMPLES = {
    "en": [
        (
            "Are Oslo and Bergen equally large and which is older?",
            """\
How large is Oslo?
How large is Bergen?
When was Oslo founded?
When was Bergen founded?""",
        ),
        ("How high is Mount Kenya?", "NONE"),
        (
            "Where was the composer of the opera Carmen born?",
            """\
Who composed the opera Carmen?
Where was Georges Bizet born?""",
        ),
        ("Why do leaves turn red?", "NONE"),
    ],
    "zh": [
        (
            "鲁迅和老舍谁先出生？",
            """\
鲁迅是哪年出生的？
老舍是哪年出生的？""",
        ),
        ("黄河发源于哪里？", "NONE"),
        (
            "清华大学什么时候建校，校训是什么？",
            """\
清华大学是什么时候建校的？
清华大学的校训是什么？""",
        ),
        ("树叶为什么会变红？", "NONE"),
    ],
}

# Own wording.
REPHRASE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
A search for a question has found nothing. Write the question once more in different words: use \
synonyms, write out abbreviations, correct the spelling. It must still ask for the same. Keep \
names, numbers and dates. Do not answer it. {language_rule}""",
        ),
        MessagesPlaceholder("examples"),
        ("human", "{input}"),
    ]
)
# Own examples.
REPHRASE_EXAMPLES = {
    "en": [
        ("How do I get rid of a cold fast?", "Which remedies shorten the common cold?"),
        ("Who set up Nokia?", "Which people established the company Nokia?"),
        ("wich year was the UN made", "In what year was the United Nations established?"),
    ],
    "zh": [
        ("怎么才能不打呼噜？", "治疗打鼾的方法有哪些？"),
        ("华为是谁创办的？", "华为公司的创始人叫什么名字？"),
        ("央视哪年开播的", "中国中央电视台于哪一年开始播出？"),
    ],
}

# Sun et al., Is ChatGPT Good at Search? (2023), appendix A (RankGPT): the system message and the
# form of the reply, shortened.
LISTWISE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to the \
query.""",
        ),
        (
            "human",
            """\
{passages}

Search query: {input}

Rank the passages above by their relevance to the search query, the most relevant first, in the \
form [2] > [1]. Reply with the ranking alone.""",
        ),
    ]
)

# Own wording, for the reading of Reddy et al., FIRST (2024): one letter is asked for.
FIRST_TOKEN_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            """\
{passages}

Question: {input}

Which of the passages answers the question best? Reply with its letter alone.""",
        )
    ]
)

# Own wording.
SUMMARY_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            """\
{document}

Sum up the text above in two or three sentences for a search index: name what it is about, with \
its names, dates and numbers. Reply with the summary alone. {language_rule}""",
        )
    ]
)

# Own wording.
SELF_QUERY_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            """\
You turn a question into a search: a line "query:" with what to look for, then one line per \
condition on a field, such as "field = value". Comparisons: = != > >= < <= in. Set a condition \
only where the question itself asks for it; mostly there is none, and the query line is all. Do \
not answer the question.""",
        ),
        (
            "human",
            """\
Fields:
- year (number): when the film came out
- genre (text): one of comedy, drama, western
- director (text)

Question: Which comedies since 1990 are about dogs?""",
        ),
        ("ai", "query: films about dogs\ngenre = comedy\nyear >= 1990"),
        (
            "human",
            """\
Fields:
- lang (text): language; one of en, zh
- date (text): when it was written

Question: How does a steam engine work?""",
        ),
        ("ai", "query: How does a steam engine work?"),
        (
            "human",
            """\
Fields:
- 年份 (number): 出版年份
- 作者 (text): 作者姓名

Question: 老舍在1940年以前写了哪些关于北京的小说？""",
        ),
        ("ai", "query: 关于北京的小说\n作者 = 老舍\n年份 < 1940"),
        ("human", "Fields:\n{fields}\n\nQuestion: {input}"),
    ]
)
