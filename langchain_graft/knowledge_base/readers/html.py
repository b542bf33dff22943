"""HTML pages: the content without navigation, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.errors import MissingExtraError
from langchain_graft.knowledge_base.readers.markdown import first_heading, markdown_sections
from langchain_graft.knowledge_base.readers.section import ReadDocument
from langchain_graft.knowledge_base.readers.text import clean, decode

if TYPE_CHECKING:
    from pathlib import Path

try:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter
except ImportError as error:
    raise MissingExtraError("documents") from error

_BOILERPLATE = (
    "script, style, noscript, template, iframe, svg, input, select, textarea, button, nav, aside, "
    "footer, [role=navigation], [role=banner], [role=contentinfo], [role=search], "
    "[aria-hidden=true]"
)
_DATES = (
    ("meta", {"property": "article:published_time"}, "content"),
    ("meta", {"name": "date"}, "content"),
    ("meta", {"name": "dcterms.date"}, "content"),
    ("time", {"datetime": True}, "datetime"),
)


def read_html(path: Path) -> ReadDocument:
    """An HTML page: title, language and date from its head, then a section per heading."""
    soup = BeautifulSoup(decode(path.read_bytes()), "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else None
    language = soup.html.get("lang") if soup.html else None
    date = _date(soup)
    for element in soup.select(_BOILERPLATE):
        element.decompose()
    articles = soup.find_all("article")  # several: a list of posts, or comments below one
    article = articles[0] if len(articles) == 1 else None
    body = soup.find("main") or article or soup.body or soup
    text = to_markdown(str(body))
    return ReadDocument(
        sections=markdown_sections(text),
        title=first_heading(text) or title,
        date=date,
        language=str(language) if language else None,
    )


def to_markdown(html: str) -> str:
    """HTML as Markdown: headings, lists and tables kept, links and pictures as their text."""
    converter = MarkdownConverter(
        heading_style="ATX",
        strip=["a", "img"],
        escape_asterisks=False,
        escape_underscores=False,
        table_infer_header=True,
    )
    return clean(converter.convert(html))


def _date(soup: BeautifulSoup) -> str | None:
    for name, attributes, key in _DATES:
        found = soup.find(name, attrs=attributes)  # type: ignore[arg-type]
        if found and (value := found.get(key)):
            return str(value)
    return None
