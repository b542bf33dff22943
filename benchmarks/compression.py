"""Compressed contexts: what is left of what an answer needs, and the answers of a model.

HotpotQA questions with five passages each: the two that hold the answer, and the best others by
BM25. First, over some questions, without a chat model: how many of the answers, and of the needed
sentences (of those two passages: they hold the answer, or name the other passage), are still there.
Then the F1 of short answers over a part of them, from the whole context and from compressed ones,
with the interval of the difference to the whole context and to sentences left out at random. All
leave out the same share of tokens, but those named "facts stay", and LangChain's redundancy filter.
Replies and scores are kept, so that a run that was stopped goes on.

    GRAFT_BENCH_DATA=... python benchmarks/compression.py [--limit N] [--arms NAME ...]
"""

import argparse
import itertools
import json
import random
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_classic.retrievers.document_compressors import EmbeddingsFilter, LLMChainExtractor
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate
from report import data_folder, finish, print_table

from langchain_graft import load_chat_model, load_embeddings
from langchain_graft.evaluation.answers import answer_f1, contains_answer, exact_match
from langchain_graft.evaluation.bootstrap import Interval, mean_interval, paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.models import load_token_scorer
from langchain_graft.models.cache_folder import cache_folder
from langchain_graft.models.token_scorer import TokenScorer
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.retrievers import (
    BM25Index,
    CompressorPipeline,
    Query,
    RedundancyFilter,
    SelfInformationCompressor,
)
from langchain_graft.retrievers.compression import Unit, shortened, units_to_drop
from langchain_graft.retrievers.units import sentences_of
from langchain_graft.sentences import sentences
from langchain_graft.source_text import source_text
from langchain_graft.wording import content_words

if TYPE_CHECKING:
    from langchain_core.documents.compressor import BaseDocumentCompressor

DATA = "hotpotqa_hipporag100"
TRAINING = "musique_train100"
SCORER = "hf:smollm2-135m"
SCORES = "compression-scores.jsonl"
"""What it said, beside the replies."""
EMBEDDER = "minilm"
PASSAGES = 5
SHARE = 0.42
"""Of the tokens of the passages; with titles and prompt, 0.3 and more of a whole prompt."""
QUESTIONS = 100
PROXIED = 20
EXTRACTED = 2
"""Questions for LangChain's extractor, which asks the chat model for every passage."""
WHOLE, RANDOM, OURS = "whole context", "random sentences", "evidence"
PROMPT = ChatPromptTemplate.from_template(
    "Answer the question from the passages, with a name, a number or a few words, or yes or no, "
    "and nothing else.\n\n{context}\n\nQuestion: {question}\nAnswer:"
)
Compress = Callable[[Sequence[Document], str], Sequence[Document]]
Values = Callable[[Sequence[tuple[str, str]], str], Sequence[float]]
"""Titles and sentences, and a question, to what each sentence is worth."""


@dataclass(frozen=True)
class Case:
    """A question and the passages from which it is answered."""

    question: str
    answers: tuple[str, ...]
    passages: list[Document]
    needed: tuple[str, ...]
    """Sentences."""


class Remembering:
    """A scorer that is asked once for what several settings, and the next runs, need."""

    def __init__(self, scorer: TokenScorer, path: Path) -> None:
        self._scorer, self._path = scorer, path
        self._known: dict[str, list[float]] = {}
        if path.exists():
            rows = map(json.loads, path.read_text("utf-8").splitlines())
            self._known = {row["key"]: row["logprobs"] for row in rows}
        self.token_spans, self.next_logprobs = scorer.token_spans, scorer.next_logprobs

    def logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[np.ndarray]:
        """As the scorer does."""
        asked = list(zip(prompts, continuations, strict=True))
        keys = [sha256(json.dumps([SCORER, *pair]).encode()).hexdigest() for pair in asked]
        new = {key: pair for key, pair in zip(keys, asked, strict=True) if key not in self._known}
        if new:
            found = self._scorer.logprobs(
                [p for p, _ in new.values()], [c for _, c in new.values()]
            )
            scored = {key: list(map(float, of)) for key, of in zip(new, found, strict=True)}
            self._known |= scored
            rows = [json.dumps({"key": key, "logprobs": of}) for key, of in scored.items()]
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{row}\n" for row in rows))
        return [np.array(self._known[key]) for key in keys]


def load_cases(data: str = DATA) -> list[Case]:
    folder = data_folder(data)
    corpus = {
        id_: Document(text, id=id_, metadata={"title": title})
        for id_, title, text in load_beir_corpus(folder)
    }
    index = BM25Index()
    titled = [f"{one.metadata['title']}\n{one.page_content}" for one in corpus.values()]
    index.add(list(corpus.values()), texts=titled)
    questions, judged = load_beir(folder)
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    answers = {row["_id"]: tuple(row["answer"]) for row in rows}
    cases = []
    for id_, question in questions.items():
        gold = set(judged[id_])
        found = [str(d.id) for d in index.search_many([Query(question)], k=50)[0]]
        others = [name for name in found if name not in gold][: PASSAGES - len(gold)]
        ranking = [*found, *sorted(gold - set(found))]
        passages = [corpus[name] for name in ranking if name in gold or name in others]
        needed = needed_sentences([corpus[name] for name in sorted(gold)], answers[id_])
        cases.append(Case(question, answers[id_], passages, needed))
    index.close()
    random.Random(0).shuffle(cases)  # noqa: S311
    return cases


def needed_sentences(gold: Sequence[Document], answers: tuple[str, ...]) -> tuple[str, ...]:
    names = {d.id: d.metadata["title"].split(" (")[0] for d in gold}
    return tuple(
        sentence
        for document in gold
        for sentence in sentences(document.page_content)
        if contains_answer(sentence, [*answers, *(names[d.id] for d in gold if d is not document)])
    )


def answer_is_in(case: Case, documents: Sequence[Document]) -> bool:
    return any(contains_answer(document.page_content, case.answers) for document in documents)


def by_value(values: Values) -> Compress:
    """Leaves out the sentences of least value, as ours does."""

    def compress(documents: Sequence[Document], question: str) -> Sequence[Document]:
        split = [sentences_of(document.page_content, "sentence") for document in documents]
        places = [(n, one.span) for n, of in enumerate(split) for one in of]
        said = [
            (documents[n].metadata["title"], documents[n].page_content[start:end])
            for n, (start, end) in places
        ]
        units = [
            Unit(document=n, sentence=i, span=span, tokens=estimate_tokens(text), value=value)
            for i, ((n, span), (_, text), value) in enumerate(
                zip(places, said, values(said, question), strict=True)
            )
        ]
        dropped = units_to_drop(units, ratio=SHARE)
        return [
            shortened(document, split[n], [unit for unit in units if unit.document == n], dropped)
            for n, document in enumerate(documents)
        ]

    return compress


def random_values(said: Sequence[tuple[str, str]], question: str) -> list[float]:
    generator = random.Random(question)  # noqa: S311
    return [generator.random() for _ in said]


def first_sentences(said: Sequence[tuple[str, str]], _: str) -> list[float]:
    """The further behind in its passage, the less."""
    by_passage = itertools.groupby(said, lambda one: one[0])
    return [-float(n) for _, of in by_passage for n, _ in enumerate(of)]


def common_words(said: Sequence[tuple[str, str]], question: str) -> list[float]:
    """Without a model: how many words of the question stand in the sentence or above it."""
    asked = content_words(question)
    return [float(len(asked & content_words(" ".join(one)))) for one in said]


def forward_contrast(scorer: TokenScorer) -> Values:
    """I(x) - I(x | q) per token of the sentence, as it is written in LongLLMLingua."""

    def values(said: Sequence[tuple[str, str]], question: str) -> list[float]:
        texts = [text for _, text in said]
        alone = scorer.logprobs([f"{title}\n" for title, _ in said], texts)
        asked = scorer.logprobs([f"{question}\n{title}\n" for title, _ in said], texts)
        return [float(b.mean() - a.mean()) for a, b in zip(alone, asked, strict=True)]

    return values


def langchain_filter(embeddings: Embeddings) -> Values:
    """The order in which LangChain's EmbeddingsFilter puts the sentences."""

    def values(said: Sequence[tuple[str, str]], question: str) -> list[float]:
        documents = [Document(text, metadata={"n": n}) for n, (_, text) in enumerate(said)]
        ranking = EmbeddingsFilter(embeddings=embeddings, k=len(said))
        ranked = ranking.compress_documents(documents, question)
        rank = {document.metadata["n"]: place for place, document in enumerate(ranked)}
        return [-float(rank.get(n, len(said))) for n in range(len(said))]

    return values


def langchain_redundant(embeddings: Embeddings) -> Compress:
    """LangChain's EmbeddingsRedundantFilter over sentences, with its own threshold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.document_transformers import (  # noqa: PLC0415
            EmbeddingsRedundantFilter,
        )
    redundant = EmbeddingsRedundantFilter(embeddings=embeddings)

    def compress(documents: Sequence[Document], _: str) -> Sequence[Document]:
        said = [
            Document(text, metadata={**document.metadata, "n": n})
            for n, document in enumerate(documents)
            for text in sentences(document.page_content)
        ]
        kept = redundant.transform_documents(said)
        by_document = itertools.groupby(kept, lambda one: one.metadata["n"])
        return [
            documents[n].model_copy(update={"page_content": " ".join(d.page_content for d in of)})
            for n, of in by_document
        ]

    return compress


def arms(scorer: TokenScorer, embeddings: Embeddings) -> dict[str, Compress]:
    def ours(**settings: Any) -> SelfInformationCompressor:
        settings = {"scorer": scorer, "ratio": SHARE, "keep_facts": False, **settings}
        return SelfInformationCompressor(**settings)

    redundancy = RedundancyFilter(embeddings=embeddings)
    compressors: dict[str, BaseDocumentCompressor] = {
        OURS: ours(),
        "evidence, phrases": ours(unit="phrase"),
        "contrast": ours(measure="contrast"),
        "contrast, phrases": ours(measure="contrast", unit="phrase"),
        "self-information": ours(measure="information"),
        "self-information, phrases": ours(measure="information", unit="phrase"),
        "redundancy, then evidence": CompressorPipeline(compressors=[redundancy, ours()]),
        "evidence, facts stay": ours(keep_facts=True),
        "evidence, phrases, facts stay": ours(unit="phrase", keep_facts=True),
        "redundancy": redundancy,
    }
    return {
        WHOLE: lambda documents, _: documents,
        **{name: one.compress_documents for name, one in compressors.items()},
        "I(x) - I(x|q)": by_value(forward_contrast(scorer)),
        "words of the question": by_value(common_words),
        RANDOM: by_value(random_values),
        "first sentences": by_value(first_sentences),
        "LangChain EmbeddingsFilter": by_value(langchain_filter(embeddings)),
        "LangChain EmbeddingsRedundantFilter": langchain_redundant(embeddings),
    }


def what_is_left(compress: Compress, cases: Sequence[Case]) -> dict[str, Any]:
    """Size, answers and needed sentences that are left."""
    pairs = [(case, compress(case.passages, case.question)) for case in cases]
    answerable = [(case, left) for case, left in pairs if answer_is_in(case, case.passages)]
    needed = [
        any(sentence in document.page_content for document in left)
        for case, left in pairs
        for sentence in case.needed
    ]
    return {
        "size": size_of(left for _, left in pairs) / size_of(case.passages for case in cases),
        "answers": mean_interval([float(answer_is_in(case, left)) for case, left in answerable]),
        "needed sentences": mean_interval([float(one) for one in needed]),
    }


def size_of(contexts: Any) -> int:
    return sum(estimate_tokens(source_text(d)) for documents in contexts for d in documents)


def answers_of(model: BaseChatModel, compress: Compress, cases: Sequence[Case]) -> dict[str, Any]:
    chain = PROMPT | model
    replies = []
    for case in cases:
        context = "\n\n".join(map(source_text, compress(case.passages, case.question)))
        replies.append(chain.invoke({"context": context, "question": case.question}))
    pairs = [(str(reply.text), case.answers) for reply, case in zip(replies, cases, strict=True)]
    return {
        "tokens": sum(
            reply.usage_metadata["input_tokens"] for reply in replies if reply.usage_metadata
        ),
        "f1": [answer_f1(*pair) for pair in pairs],
        "exact": [exact_match(*pair) for pair in pairs],
        "contains": [contains_answer(*pair) for pair in pairs],
    }


def compared(measured: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    whole, chance = measured[WHOLE], measured[RANDOM]
    return {
        name: {
            "tokens": one["tokens"] / whole["tokens"],
            **{metric: mean_interval(one[metric]) for metric in ("f1", "exact", "contains")},
            "f1 - whole": paired_bootstrap(one["f1"], whole["f1"]),
            "f1 - random": paired_bootstrap(one["f1"], chance["f1"]),
        }
        for name, one in measured.items()
    }


def told(value: Any) -> str:
    if isinstance(value, Interval):
        return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"
    return f"{value:.3g}"


def show(title: str, measured: Mapping[str, Mapping[str, Any]]) -> None:
    names = ("", *next(iter(measured.values())))
    print_table(title, names, [(name, *map(told, one.values())) for name, one in measured.items()])


def answered(
    arguments: argparse.Namespace, ways: Mapping[str, Compress], cases: Sequence[Case]
) -> dict[str, Any]:
    model = load_chat_model(arguments.model, max_tokens=32)
    cached = with_reply_cache(model, ReplyCache())
    names = dict.fromkeys([WHOLE, RANDOM, *arguments.arms])
    answers = compared({name: answers_of(cached, ways[name], cases) for name in names})
    show(f"Answers: {len(cases)} questions, {arguments.model}", answers)
    return {"model": arguments.model, "questions": len(cases), **answers}


def extracted(name: str, scorer: TokenScorer, cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """LangChain's extraction by a chat model against ours: what is left, and seconds a question."""
    model = load_chat_model(name, max_tokens=256)
    ways: dict[str, Compress] = {
        "LangChain LLMChainExtractor": LLMChainExtractor.from_llm(model).compress_documents,
        OURS: SelfInformationCompressor(
            scorer=scorer, ratio=SHARE, keep_facts=False
        ).compress_documents,
    }
    found = {}
    for way, compress in ways.items():
        started = time.perf_counter()
        left = what_is_left(compress, cases)
        found[way] = {**left, "seconds": (time.perf_counter() - started) / len(cases)}
    show(f"Extraction: {len(cases)} questions", found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--data", default=DATA, help=f"{TRAINING} to choose by, --no-answers")
    parser.add_argument("--limit", type=int, help="most questions")
    parser.add_argument("--proxied", type=int, default=PROXIED, help="of them, without the model")
    parser.add_argument("--arms", nargs="*", default=[OURS], help="beside the whole and random")
    parser.add_argument("--no-answers", action="store_true", help="without the chat model")
    arguments = parser.parse_args()
    cases = load_cases(arguments.data)[: arguments.limit]
    scorer = load_token_scorer(SCORER)
    ways = arms(Remembering(scorer, cache_folder() / SCORES), load_embeddings(EMBEDDER))
    proxied = cases[: arguments.proxied]
    left = {name: what_is_left(way, proxied) for name, way in ways.items()}
    show(f"What is left: {len(proxied)} questions, scored by {SCORER}", left)
    figures: dict[str, Any] = {"questions": len(proxied), "left": left}
    if not arguments.no_answers:
        figures["answers"] = answered(arguments, ways, cases[:QUESTIONS])
        figures["extraction"] = extracted(arguments.model, scorer, cases[:EXTRACTED])
    finish("compression", figures, packages=("transformers", "langchain-classic", "xllamacpp"))


if __name__ == "__main__":
    main()
