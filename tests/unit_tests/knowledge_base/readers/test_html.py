"""HTML pages."""

from langchain_graft.knowledge_base.readers.html import read_html, to_markdown

PAGE = """<!doctype html><html lang="en-GB"><head>
<title>Sinclair - My site</title>
<meta property="article:published_time" content="1982-04-23T09:00:00Z">
<script>var tracker = 1</script><style>p {color: red}</style></head>
<body><header role="banner">Logo</header><nav><a href="/">Home</a></nav>
<article><h1>Sinclair</h1><p>Sold <b>cheap</b> computers in the <a href="/uk">UK</a>.</p>
<h2>Models</h2><ul><li>ZX81</li><li>Spectrum</li></ul>
<table><tr><th>Model</th><th>Price</th></tr><tr><td>ZX81</td><td>69.95</td></tr></table>
<aside>Advert</aside>
<form><button>Subscribe</button><input value=Mail></form><p>a * b_c</p></article>
<footer>Copyright</footer></body></html>"""


def read(tmp_path, page, encoding="utf-8"):
    path = tmp_path / "page.html"
    path.write_bytes(page.encode(encoding))
    return read_html(path)


def test_only_the_content_stays(tmp_path):
    text = "\n".join(section.text for section in read(tmp_path, PAGE).sections)
    assert "Sold **cheap** computers in the UK." in text
    for boilerplate in ("tracker", "red", "Logo", "Home", "Advert", "Subscribe", "Copyright"):
        assert boilerplate not in text


def test_headings_lists_and_tables(tmp_path):
    introduction, models = read(tmp_path, PAGE).sections
    assert (introduction.heading, models.heading) == (None, "Models")
    assert "* ZX81\n* Spectrum" in models.text
    assert "| Model | Price |" in models.text
    assert "| ZX81 | 69.95 |" in models.text
    assert "a * b_c" in models.text


def test_title_date_and_language_come_from_the_page(tmp_path):
    document = read(tmp_path, PAGE)
    assert document.title == "Sinclair"
    assert document.date == "1982-04-23T09:00:00Z"
    assert document.language == "en-GB"


def test_the_date_may_stand_in_a_time_element(tmp_path):
    assert read(tmp_path, "<p>x <time datetime='1984-01-24'>soon</time></p>").date == "1984-01-24"


def test_a_page_without_a_heading_is_named_by_its_title(tmp_path):
    document = read(tmp_path, "<title> Two\n words </title><p>text</p>")
    assert document.title == "Two words"


def test_a_fragment_without_body_or_head(tmp_path):
    document = read(tmp_path, "just <b>text</b>")
    assert [section.text for section in document.sections] == ["just **text**"]
    assert (document.title, document.date, document.language) == (None, None, None)


def test_a_chinese_page_in_gbk(tmp_path):
    page = (
        "<html><meta charset=gbk><p>他们的第一台电脑是在车库里做的，这是大家都知道的。</p></html>"
    )
    document = read(tmp_path, page, "gbk")
    assert document.sections[0].text == "他们的第一台电脑是在车库里做的，这是大家都知道的。"


def test_a_page_of_scripts_alone_has_no_sections(tmp_path):
    assert read(tmp_path, "<html><body><script>app()</script></body></html>").sections == []


def test_pictures_and_links_leave_their_text():
    assert to_markdown("<p><a href='x'>here</a><img src='y' alt='a picture'></p>").startswith(
        "here"
    )


def test_several_articles_are_all_read(tmp_path):
    posts = "".join(f"<article><h2>Post {n}</h2><p>Story {n}.</p></article>" for n in (1, 2))
    document = read(tmp_path, f"<body><nav>Home</nav>{posts}</body>")
    assert [(s.heading, s.text) for s in document.sections] == [
        ("Post 1", "Story 1."),
        ("Post 2", "Story 2."),
    ]


def test_a_page_that_is_one_form(tmp_path):
    page = (
        "<body><form method=post><p>The Lisa cost 9995 dollars.</p><select><option>USD</select>"
        "<textarea>Your comment</textarea><button>Send</button></form></body>"
    )
    assert [section.text for section in read(tmp_path, page).sections] == [
        "The Lisa cost 9995 dollars."
    ]
