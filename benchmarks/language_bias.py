"""How much `e5-multilingual` prefers documents in the question's own language, and the cure.

Vectors of one language lie together: for a Chinese question the Chinese documents come first, the
English one that holds the answer later. The direction from English to Chinese is the mean
difference of translated sentences (Yang et al. 2021, "A Simple and Effective Method To Eliminate
the Self Language Bias in Multilingual Representations"); it is taken out of every vector. There
are two, because queries and passages get different prefixes.

    python benchmarks/language_bias.py --write     makes langchain_graft/models/e5_language.json
    anew python benchmarks/language_bias.py             prints the table, then a JSON line
"""

import argparse
import json
from pathlib import Path

import numpy as np

from langchain_graft.models import E5Embeddings, load_embeddings
from langchain_graft.models.e5_embeddings import DIRECTIONS

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    plain = load_embeddings("e5-multilingual", remove_language_bias=False)
    assert isinstance(plain, E5Embeddings)
    if arguments.write:
        Path(DIRECTIONS).write_text(json.dumps(language_directions(plain)), encoding="utf-8")


if __name__ == "__main__":
    main()
