"""What kind of thing a label stands for, so that two models' words for it can be compared."""

from __future__ import annotations

import re

ANYTHING = ""
"""The kind of labels that say nothing: it goes with every other."""

_KINDS = {
    "person": "person people human character author artist actor player scientist engineer founder "
    "inventor designer politician musician athlete king 人物 人 人名 作家 科学家",
    "organization": "organization organisation company corporation firm business institution "
    "university school agency government team band club group party publisher brand lab laboratory "
    "institute army manufacturer studio 组织 机构 公司 企业 大学 学校 团体 单位 政府",
    "place": "place location city country state region town village river mountain building county "
    "island street continent geo district landmark 地点 地方 城市 国家 地区 省",
    "date": "date year time period day decade duration 日期 时间 年份",
    "event": "event war battle conference election ceremony meeting 事件 会议 战争",
    "creation": "product work software book film movie song album game device machine computer "
    "technology hardware language program system model magazine standard operatingsystem show "
    "newspaper vehicle invention 产品 作品 软件 电脑 书籍 技术 电影 机器 计算机 系统 输入法",
    "nature": "animal plant fruit food species substance chemical drug disease material "
    "动物 植物 水果",
    "number": "number amount money price quantity percent value 数字 金额 数量",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[\u4e00-\u9fff]+")


def kind_of(label: str) -> str:
    """person, organization, place, date, event, creation, nature, number, or `ANYTHING`.

    Of a label of several words, such as `SoftwareCompany`, the last one that is known counts.
    """
    words = [word.casefold() for word in _WORD.findall(label)]
    whole = _KIND_OF.get(label.casefold())
    known = [_KIND_OF[word] for word in words if word in _KIND_OF]
    return whole or (known[-1] if known else ANYTHING)


def agree(one: str, other: str) -> bool:
    """Whether two kinds may be the same thing's."""
    return one == other or ANYTHING in (one, other)
