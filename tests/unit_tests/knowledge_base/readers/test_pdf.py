"""PDF files."""

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers.pdf import read_pdf

BODY = [
    "The Xerox Alto was built in 1973 at the research centre in Palo Alto, and it had",
    "a mouse, windows and a network long before anybody could buy such a machine in a",
    "shop.",
]


def written(path, pages, *, title=None, font="Helvetica", **canvas):
    sheet = Canvas(str(path), pagesize=A4, **canvas)
    if title:
        sheet.setTitle(title)
    for lines in pages:
        sheet.setFont(font, 11)
        for number, line in enumerate(lines):
            sheet.drawString(50, 780 - 16 * number, line)
        sheet.showPage()
    sheet.save()
    return path


def test_broken_lines_become_paragraphs_again(tmp_path):
    document = read_pdf(written(tmp_path / "a.pdf", [BODY]))
    assert [section.text for section in document.sections] == [" ".join(BODY)]


def test_headings_and_the_pages_under_them(tmp_path):
    second = ["Smalltalk", *BODY]
    document = read_pdf(written(tmp_path / "a.pdf", [["The Alto", *BODY], second]))
    assert [(s.heading, s.pages) for s in document.sections] == [
        ("The Alto", ((0, 1),)),
        ("Smalltalk", ((0, 2),)),
    ]


def test_a_paragraph_over_two_pages_knows_where_the_second_begins(tmp_path):
    document = read_pdf(written(tmp_path / "a.pdf", [BODY[:2], BODY[2:]]))
    (section,) = document.sections
    assert section.text == " ".join(BODY)
    (_, first), (offset, second) = section.pages
    assert (first, second) == (1, 2)
    assert section.text[offset:] == "shop."


def test_running_headers_and_page_numbers_are_left_out(tmp_path):
    bodies = [[f"{name} said:", *BODY[:2], f"{name} left."] for name in ("Ada", "Bob", "Cy", "Di")]
    pages = [["Annual report 1973", *b, f"Page {n} of 4"] for n, b in enumerate(bodies, 1)]
    text = "\n".join(s.text for s in read_pdf(written(tmp_path / "a.pdf", pages)).sections)
    assert "Annual report" not in text
    assert "Page " not in text
    assert text.count("Xerox") == 4


def test_title_and_date_of_the_file(tmp_path):
    document = read_pdf(written(tmp_path / "a.pdf", [BODY], title="帕洛阿尔托", invariant=True))
    assert document.title == "帕洛阿尔托"
    assert document.date == "2000-01-01"


def test_chinese_lines_are_joined_without_spaces(tmp_path):
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    lines = [
        "王选院士主持研制的汉字激光照排系统在一九八五年通过了国家的鉴定，新华社从此",
        "告别了铅与火。",
    ]
    document = read_pdf(written(tmp_path / "a.pdf", [lines], font="STSong-Light"))
    assert document.sections[0].text == "".join(lines)


def test_zero_bytes(tmp_path):
    (tmp_path / "a.pdf").touch()
    with pytest.raises(SourceError, match=r"empty \(0 bytes\). Download or export it again"):
        read_pdf(tmp_path / "a.pdf")


def test_garbage(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\nrubbish")
    with pytest.raises(SourceError, match=r"no readable PDF .* Download or export it again"):
        read_pdf(tmp_path / "a.pdf")


def test_a_file_cut_in_half_gives_its_text_or_says_why(tmp_path):
    whole = written(tmp_path / "whole.pdf", [BODY] * 20).read_bytes()
    (tmp_path / "a.pdf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="no readable PDF"):
        read_pdf(tmp_path / "a.pdf")


def test_a_password(tmp_path):
    locked = StandardEncryption("secret", ownerPassword="owner")
    with pytest.raises(SourceError, match=r"protected by a password. Save it without one"):
        read_pdf(written(tmp_path / "a.pdf", [BODY], encrypt=locked))


def test_an_owner_password_alone_does_not_lock_readers_out(tmp_path):
    guarded = StandardEncryption("", ownerPassword="owner")
    document = read_pdf(written(tmp_path / "a.pdf", [BODY], encrypt=guarded))
    assert document.sections[0].text == " ".join(BODY)


def test_scanned_pages_say_how_to_read_them(tmp_path):
    sheet = Canvas(str(tmp_path / "a.pdf"))
    sheet.rect(100, 100, 50, 50)
    sheet.save()
    with pytest.raises(SourceError, match=r"seems to be scanned.*langchain-graft\[ocr\].*--ocr"):
        read_pdf(tmp_path / "a.pdf")


def mixed(path, *scanned, pages=3):
    """Pages with text; those that are named hold a drawing instead, page 2 of the rest nothing."""
    sheet = Canvas(str(path), pagesize=A4)
    for n in range(1, pages + 1):
        if n in scanned:
            sheet.rect(100, 100, 50, 50)
        elif n != 2:
            sheet.drawString(50, 700, f"Page number {n} has words.")
        sheet.showPage()
    sheet.save()
    return path


def test_pages_without_text_are_named(tmp_path):
    document = read_pdf(mixed(tmp_path / "a.pdf", 2))
    assert "Page number 1 has words." in document.sections[0].text
    assert document.unread == (
        "page 2 has no text: Read it with OCR: pip install 'langchain-graft[ocr]', "
        "then graft ingest --ocr"
    )
    many = read_pdf(mixed(tmp_path / "b.pdf", *range(2, 15), pages=15)).unread
    assert many.startswith("pages 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more have no text")


def test_a_blank_page_lacks_nothing(tmp_path):
    assert read_pdf(mixed(tmp_path / "a.pdf")).unread == ""
