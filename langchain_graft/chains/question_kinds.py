"""What kind of question a question is, by rule, in English and Chinese."""

from __future__ import annotations

import re

from langchain_graft.han import simplified

_TALK = re.compile(
    r"""\W*(?:
        (?:hi|hello|hey|good\s(?:morning|afternoon|evening|night)|greetings)(?:\s(?:there|all))?
      | (?:many\s)?thanks?(?:\s(?:you|a\slot|so\smuch|very\smuch))*(?:\sfor\s[\w\s]{1,30})?
      | that\s(?:was|is)\s(?:very\s|really\s)?(?:helpful|great|good|nice|useful|all)
      | (?:good)?bye|see\syou(?:\slater)?|how\sare\syou(?:\s(?:doing|today))*
      | nice\sto\smeet\syou|(?:who|what)\sare\syou|what\scan\syou\sdo(?:\sfor\sme)?|help
      | ok(?:ay)?|great|cool
      | (?:你|您|大家)好[啊呀吗]?|嗨|哈喽|早上好|下午好|晚上好|晚安|再见|拜拜|好的
      | (?:非常|多)?(?:谢谢|感谢)[你您]?(?:了|的帮助)?
      | (?:你|您)是谁|(?:你|您)(?:能|会|可以)做?什么|(?:你|您)叫什么(?:名字)?
    )\W*""",
    re.IGNORECASE | re.VERBOSE,
)
_PARTS = re.compile(r"[.!?,。！？，]+|\sand\s")
_AGAINST_RULES = re.compile(  # as an order: a document may be asked what ignores a rule
    r"(?:^|[.!?,;:\n]|\b(?:please|now|then|just|and|(?:you|must|should)(?:\sto)?)\b)\s{0,3}"
    r"(?:(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|above|prior|earlier|your|all)\b.{0,20}"
    r"\b(?:instructions?|rules?|prompts?)\b"
    r"|(?:reveal|show|print|repeat|tell)\b.{0,20}"
    r"\b(?:system|hidden|initial|your)\s(?:prompt|instructions?)\b)"
    r"|\byour\s(?:system|hidden|initial)\s(?:prompt|instructions?)\b"
    r"|(?:^|[,.!?:，。！？：；\s]|请|现在|必须|立即)[你您]?(?:忽略|无视|忘记|忘掉).{0,12}(?:指令|规则|提示)"
    r"|(?:[你您]的|告诉|显示|输出|打印|透露|重复).{0,8}(?:系统|隐藏|初始)提示词",
    re.IGNORECASE,
)
_THAN = (  # not "more than 100", "less than a year"
    r"than\b(?!\s(?:\W?\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|half|once|twice"
    r"|a\s(?:dozen|hundred|thousand|million|billion|year|month|week|day))\b))"
)
_COMPARES = re.compile(
    r"\b(?:older|younger|earlier|later|longer|shorter|taller|higher|larger|bigger|smaller|faster"
    rf"|first|more|fewer|less)\b.{{0,60}}(?:\b{_THAN}|,.{{1,60}}\bor\b)"
    rf"|\b(?!(?:other|rather)\b)\w{{2,20}}er\s{_THAN}|\bcompare[ds]?\b"
    r"|\bdifferences?\sbetween\b|\bdiffers?\b|^\W*(?:are|were|do|did|have|had)\sboth\b.{1,60}\band\b"
    r"|\band\b.{1,60}\b(?:the\ssame|both)\b"
    r"|谁.{0,6}(?:先(?!后)|(?<!先)后(?!来)|更|比)|哪[个一]?.{0,6}更|比较(?:一下)?.{1,30}[和与跟]"
    r"|[和与跟].{1,30}(?:比较|对比|相比|区别|差异|不同|相同|同一|一样)"
    r"|(?<![百分价对相类占])比(?![较例赛如方尔亚特利基]).{1,12}"
    r"(?:[大小早晚高低长短快慢多少贵重轻]|便宜)",
    re.IGNORECASE,
)
_RELATED = re.compile(
    r"\b(?:to\sdo\swith|relat(?:ed|ion|ions|ionships?)\s(?:to|between|of|with)"
    r"|connect(?:s|ed|ions?)\b.{0,40}\b(?:to|with|and|between)|in\scommon)\b"
    r"|关系|关联|联系|共同点",
    re.IGNORECASE,
)
_ROLE = (
    r"(?:founder|author|writer|director|designer|inventor|creator|composer|maker|owner|publisher"
    r"|manufacturer|company|president|head|wife|husband|spouse|father|mother|son|daughter|brother"
    r"|sister|teacher|capital|team|band|person|man|woman)s?"
)
_NESTED = re.compile(  # not "who is the founder of X", which is asked for one fact
    r"\b(?:did|does|has|had|(?:where|when|why|how(?:\s\w+)?|what\s(?:year|day|age)"
    rf"|(?:in|at|on|from|to|of)\s(?:which|what)\s\w+)\s(?:is|was|are|were))\sthe\s(?:\w+\s)?{_ROLE}\s(?:of|that|who|which)\b"
    rf"|\bthe\s(?:\w+\s)?{_ROLE}\sof\sthe\s(?:\w+\s)?{_ROLE}\s(?:of|that|who|which|whose)\b"
    r"|(?:作者|导演|创始人|设计者|发明人|总统|首都|父亲|母亲|妻子|丈夫|儿子|女儿)的(?!名|姓)",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.?|January|February|March|April"
    r"|June|July|August|September|October|November|December|[Ss]pring|[Ss]ummer|[Aa]utumn|[Ff]all"
    r"|[Ww]inter)"
)
_DATE = rf"(?:{_MONTH}\s(?:\d{{1,2}},?\s)?)?(?:1[0-9]|20)\d\d"
_WITHIN_TIME = re.compile(
    rf"\b(?:from|between)\s{_DATE}\s(?:to|and|until)\s{_DATE}"
    rf"|\b(?:in|before|after|during|around)\s(?:early\s|late\s)?{_MONTH}\s(?:of\s)?\d{{4}}"
    r"|\d{4}年(?:\d+月)?(?:到|至|与|和)\d{4}年|\d{4}年\d{1,2}月",
)
_BROAD = re.compile(
    r"\b(?:tell\sme\s(?:all\s|everything\s|more\s)?about|overview|everything|in\sgeneral"
    r"|what\sare\s(?:all\s)?the\s(?:main|different|various|most)|list\s(?:all|the)|summari[sz]e|summary\sof)\b"
    r"|介绍(?!人|.{0,12}认识)|概述|总结|有哪些|都有什么|说说",
    re.IGNORECASE,
)
_MEASURES = (
    r"(?:years?|months?|weeks?|days?|hours?|minutes?|seconds?|times|miles?|kilomet(?:er|re)s?"
    r"|met(?:er|re)s?|feet|foot|inches|kilograms?|pounds?|tons?|dollars?|euros?|percent|bytes?"
    r"|[kmg]b|inhabitants|degrees)"
)
_SOME = r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten)"
_THINGS = r"(?:(?!\w*(?:ou|s|u)s\b)\w+s|people|men|women|children)\b"
_COUNTS = re.compile(  # not what a text says as a measure: "how many years", "多少钱"
    rf"\bhow\smany\b(?!\s(?:\w+\s)?{_MEASURES}\b)|\bcount\s(?:the|all|how)\b"
    r"|\b(?:what|find|show|give)\b.{0,20}\s(?:(?:number|average)\sof|average\s\w+|total\snumber)\b"
    r"|(?:\b(?:name|list|find|show|identify|who\sare|(?:what|which)\s(?:are|were))\s(?:the\s)?"
    rf"(?:(?:first|last|top)\s)?|\bthe\s(?:first|last|top)\s){_SOME}\s(?:\w+\s){{0,3}}?{_THINGS}"
    rf"|\btop\s{_SOME}\b|\bthe\s(?:highest|lowest|largest)\s(?:average|number)\b"
    rf"|^\W*(?:who|which|list|name|find|show)\b.{{1,60}}\bmore\sthan\s{_SOME}\s(?!{_MEASURES})\w"
    rf"|\bthe\s(?:most|fewest|least)\s(?:different\s)?{_THINGS}|\bthe\smost\s(?:common|frequent)\b"
    r"|\b(?:who|which|what)\b.{1,60}\s(?:the\s)?(?:most|fewest|least)(?:\soften)?\W*$"
    r"|^\W*(?:(?:please|can\syou|could\syou)\s)?(?:list|name|show|give\sme)\s(?:me\s)?(?:all|every)\b"
    rf"|\bwhich\s(?:\w+\s){{0,2}}{_THINGS}\s(?:do|did|have|had|are|were)\b"
    r"|(?<![值是为到达])多少(?![钱岁度美元块元天年月周日小分秒公千米吨%％]|人民币|经费|资金)"
    r"|(?<![第十百千大小差好])几(?:个|家|位|部|本|名|种|款|台|条|所|座|项|次|支|篇|首|门|人)(?![月小年])"
    r"|(?:谁|哪|什么).{0,20}最[多少]|最[多少]的.{0,12}(?:谁|哪|什么)"
    r"|列出.{0,4}(?:所有|全部|每)|哪些.{0,12}(?:都|是由|属于|超过|少于)"
    r"|统计|总共|总数|平均|数量是",
    re.IGNORECASE,
)
_CORPUS = (
    r"(?:corpus|collection|documents?|docs|files|texts|articles|reports|notes|papers|sources"
    r"|knowledge\s?base|data\s?set|data|library|archive)"
)
_THEMES = r"(?:themes?|topics?|subjects|ideas|motifs|threads|storylines|issues|trends|patterns)"
_WHOLE = re.compile(  # not "the main themes of Hamlet", which is one thing's
    r"\b(?:main|major|key|central|overall|core|common|recurring|dominant|principal|overarching"
    rf"|biggest|most\simportant)\s{_THEMES}\b(?!.{{0,30}}\b(?:of|in|from|by)\s(?:the\s)?(?-i:[A-Z\"“]))"
    rf"|\bwhat\s{_THEMES}\s(?:are|do|does|run|come|appear)\b"
    rf"|\b(?:summari[sz]e|summary\sof|overview\sof|sum\sup)\s(?:\w+\s){{0,3}}{_CORPUS}\b(?!\s(?:of|about|on)\b)"
    rf"|\bwhat\s(?:is|are)\s(?:(?:all|of)\s)*(?:this|the|these|your|those)\s(?:\w+\s)?{_CORPUS}"
    r"\s(?:all\s)?(?:about|concerned|mainly)\b"
    rf"|\bwhat\sdo(?:es)?\s(?:all\s)?(?:this|the|these)\s(?:\w+\s)?{_CORPUS}\s(?:\w+\s)?"
    r"(?:cover|discuss|deal|talk|say|describe|contain)\b"
    rf"|\b(?:across|throughout)\s(?:all\s)?(?:of\s)?(?:the|these|this)?\s?(?:\w+\s)?{_CORPUS}\b"
    r"|(?:主要|核心|共同|中心|重要|总体|整体)(?:的|有哪些)?(?:主题|话题|议题|题材|线索|趋势)(?!曲|歌|公园)"
    r"|(?:这些|所有|全部|整个|全体|本|你的)(?:的)?(?:文档|资料|语料|文集|文件|文章|材料|知识库|内容|数据)"
    r".{0,8}(?:讲|说|谈|关于|涉及|主题|内容|概述|总结|概括|大意|介绍)"
    r"|(?:概述|总结|概括|归纳|介绍)(?:一下|下)?(?:这些|所有|全部|整个|全体|本)(?:的)?"
    r"(?:文档|资料|语料|文集|文件|文章|材料|知识库|内容|数据)"
    r"|^\W*(?:请)?(?:整体|总体)?(?:概述|总结|概括)(?:一下|下)?(?:整体|全部|主要)?(?:内容)?\W*$"
    r"|(?:整体|总体)(?:上|来看|来说|而言|内容)",
    re.IGNORECASE,
)


def is_small_talk(question: str) -> bool:
    """Whether it greets, thanks, or asks the assistant about itself, and nothing else."""
    return all(_TALK.fullmatch(part) for part in _PARTS.split(simplified(question)) if part)


def is_against_the_rules(question: str) -> bool:
    """Whether it would change the assistant's rules, or see them."""
    return _has(_AGAINST_RULES, question)


def needs_several_steps(question: str) -> bool:
    """Whether it compares things, or holds another question."""
    return _has(_COMPARES, question) or _has(_NESTED, question)


def is_within_a_time(question: str) -> bool:
    """Whether it asks what was the case in a month or a span of years."""
    return _has(_WITHIN_TIME, question)


def is_broad(question: str) -> bool:
    """Whether it asks for everything about something."""
    return _has(_BROAD, question)


def is_about_relations(question: str) -> bool:
    """Whether it asks what things have to do with each other."""
    return _has(_RELATED, question)


def is_counted(question: str) -> bool:
    """Whether things are to be counted, listed or ranked for it."""
    return _has(_COUNTS, question)


def is_about_the_whole(question: str) -> bool:
    """Whether it asks what all the documents together are about."""
    return _has(_WHOLE, question)


def _has(pattern: re.Pattern[str], question: str) -> bool:
    return bool(pattern.search(simplified(question)))
