"""Markdown and plain text."""

from langchain_graft.knowledge_base.readers.markdown import (
    first_heading,
    markdown_sections,
    read_markdown,
    read_plain,
)

PAGE = """\
---
title: 苹果 II
date: 1977-06-10
lang: zh-CN
---

# The Apple II

Bought by schools.

## Design ##

Colour and sound.

### Disk

```python
# not a heading
```

## Price

1298 dollars.
"""


def test_sections_know_the_headings_above_them(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text(PAGE, encoding="utf-8")
    document = read_markdown(path)
    assert [(section.heading, section.text) for section in document.sections] == [
        (None, "Bought by schools."),
        ("Design", "Colour and sound."),
        ("Design > Disk", "```python\n# not a heading\n```"),
        ("Price", "1298 dollars."),
    ]


def test_front_matter_names_the_document(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text(PAGE, encoding="utf-8")
    document = read_markdown(path)
    assert (document.title, document.date, document.language) == ("苹果 II", "1977-06-10", "zh-CN")


def test_without_front_matter_the_first_heading_is_the_title(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text("# Lisa\r\n\r\nA mouse.\r\n", encoding="utf-8-sig", newline="")
    document = read_markdown(path)
    assert document.title == "Lisa"
    assert [section.text for section in document.sections] == ["A mouse."]


def test_front_matter_that_is_no_yaml_stays_text(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text("---\n{broken: [\n---\nbody", encoding="utf-8")
    document = read_markdown(path)
    assert document.title is None
    assert "broken" in document.sections[0].text
    assert "body" in document.sections[0].text


def test_front_matter_with_half_a_character_can_be_stored(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text('---\ntitle: "Lisa \\ud83d"\n---\nbody', encoding="utf-8")
    assert str(read_markdown(path).title).encode("utf-8") == b"Lisa"


def test_fences_hide_headings_until_the_same_fence_closes():
    text = "~~~~\n# a\n```\n# b\n~~~\n# c\n~~~~\n# d\nend"
    assert [section.text for section in markdown_sections(text)] == [
        "~~~~\n# a\n```\n# b\n~~~\n# c\n~~~~",
        "end",
    ]


def test_a_later_heading_of_level_1_stands_above_its_text():
    sections = markdown_sections("# Book\n\nintro\n\n# Two\n\n## Part\n\ntext")
    assert [section.heading for section in sections] == [None, "Two > Part"]


def test_the_first_heading_counts_only_at_level_1():
    assert first_heading("## Part\n# Book") is None
    assert first_heading("text\n# Book #") == "Book"


def test_plain_text_is_one_section_without_headings(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("# a comment\n\nand text\n", encoding="utf-8")
    sections = read_plain(path).sections
    assert [(section.heading, section.text) for section in sections] == [
        (None, "# a comment\n\nand text")
    ]


def test_front_matter_can_not_explode(tmp_path):
    """Each alias stands for ten of the one before: a title of millions of characters."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    path = tmp_path / "apple.md"
    path.write_text("\n".join(["---", *lines, "title: *a7", "---", "body"]), encoding="utf-8")
    document = read_markdown(path)
    assert (document.title, document.sections[0].text) == (None, "body")


def test_front_matter_nested_without_end_stays_text(tmp_path):
    path = tmp_path / "apple.md"
    path.write_text(f"---\ntitle: {'[' * 5000}\n---\nbody", encoding="utf-8")
    assert read_markdown(path).title is None


def test_values_of_front_matter_are_what_is_written(tmp_path):
    """YAML's "no" is a boolean to other readers, 1984 a number, and 02-30 an error."""
    path = tmp_path / "apple.md"
    path.write_text("---\ntitle: 1984\nlang: no\ndate: 1984-02-30\n---\nbody", encoding="utf-8")
    document = read_markdown(path)
    assert (document.title, document.language, document.date) == ("1984", "no", "1984-02-30")
