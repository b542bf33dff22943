"""Tables and records."""

import json

import pytest

from langchain_graft.errors import SourceError
from langchain_graft.knowledge_base.readers.tables import read_csv, read_jsonl, row_section


def csv(tmp_path, text, *, name="a.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_csv(path).sections


def jsonl(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")
    return read_jsonl(path).sections


def test_each_row_is_a_section_of_column_and_value(tmp_path):
    first, second = csv(tmp_path, "model,year\nLisa,1983\nMacintosh,1984\n")
    assert (first.row, first.text) == (1, "model: Lisa\nyear: 1983")
    assert (second.row, second.text) == (2, "model: Macintosh\nyear: 1984")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path, delimiter):
    rows = [["model", "year", "price"], ["Lisa", "1983", "9995"], ["Apple I", "1976", "666"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert csv(tmp_path, text)[0].text == "model: Lisa\nyear: 1983\nprice: 9995"


def test_tsv_with_one_column(tmp_path):
    assert [s.text for s in csv(tmp_path, "name\nLisa\n", name="a.tsv")] == ["name: Lisa"]


def test_quoted_cells_hold_line_ends_and_delimiters(tmp_path):
    (row,) = csv(tmp_path, 'name,note\nLisa,"a mouse,\nand ""windows"""\n')
    assert row.text == 'name: Lisa\nnote: a mouse,\nand "windows"'


def test_an_excel_file_from_china(tmp_path):
    text = "年份,事件\r\n1985,王选的激光照排系统在新华社使用，这是中国的第一次\r\n"
    (row,) = csv(tmp_path, text, encoding="gb18030")
    assert row.text == "年份: 1985\n事件: 王选的激光照排系统在新华社使用，这是中国的第一次"


def test_empty_cells_and_rows_leave_nothing(tmp_path):
    assert [s.text for s in csv(tmp_path, "a,b\n1,\n,\n,2\n")] == ["a: 1", "b: 2"]


def test_cells_beyond_the_header_are_kept(tmp_path):
    (row,) = csv(tmp_path, "model,year\nLisa,1983,expensive,slow\n")
    assert row.text == "model: Lisa\nyear: 1983\n(3): expensive\n(4): slow"


def test_columns_of_one_name_are_kept_apart(tmp_path):
    (row,) = csv(tmp_path, "name,name,\nLisa,Mac,Newton\n")
    assert row.text == "name: Lisa\nname(2): Mac\n(3): Newton"


def test_commas_below_a_header_of_one_column_lose_nothing(tmp_path):
    (row,) = csv(tmp_path, "story\nWell, it began\n")
    assert row.text == "story: Well\n(2): it began"


def test_blank_lines_above_the_header(tmp_path):
    assert [s.text for s in csv(tmp_path, "\r\n\r\nname\r\nLisa\r\n")] == ["name: Lisa"]


@pytest.mark.parametrize(
    "header", ["question,answer", "Question , Answer", "query,response", "问题,答案"]
)
def test_a_pair_is_found_by_its_question_and_gives_its_answer(tmp_path, header):
    (pair,) = csv(tmp_path, f"{header},by\nWho built it?,Woz did.,me\n")
    assert (pair.question, pair.text) == ("Who built it?", "Woz did.")


def test_a_question_without_an_answer_is_a_row(tmp_path):
    (row,) = csv(tmp_path, "question,answer\nWho built it?,\n")
    assert (row.question, row.text) == (None, "question: Who built it?")


def test_json_lines(tmp_path):
    lines = [
        {"question": "谁？", "answer": "沃兹。"},
        {"title": "Lisa", "text": "A mouse."},
        {"model": "Newton", "tags": ["pen", "small"], "gone": None},
    ]
    pair, text, row = jsonl(
        tmp_path, "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    )
    assert (pair.question, pair.text) == ("谁？", "沃兹。")
    assert (text.heading, text.text) == ("Lisa", "A mouse.")
    assert row.text == 'model: Newton\ntags: ["pen", "small"]'
    assert [pair.row, text.row, row.row] == [1, 3, 5]


def test_one_json_list(tmp_path):
    sections = jsonl(tmp_path, '[\n{"text": "one"},\n{"text": "two"}\n]')
    assert [(section.row, section.text) for section in sections] == [(1, "one"), (2, "two")]


def test_one_json_object_over_several_lines(tmp_path):
    (section,) = jsonl(tmp_path, json.dumps({"title": "Lisa", "text": "A mouse."}, indent=2))
    assert (section.heading, section.text) == ("Lisa", "A mouse.")


def test_a_broken_line_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"line 2 is no JSON .*Mend or remove the line"):
        jsonl(tmp_path, '{"text": "one"}\n{"text": \n')


def test_a_record_that_is_no_object_is_named(tmp_path):
    with pytest.raises(SourceError, match="record 2 is no JSON object but int"):
        jsonl(tmp_path, '{"text": "one"}\n7\n')


def test_json_nested_without_end(tmp_path):
    with pytest.raises(SourceError, match="no JSON"):
        jsonl(tmp_path, "[" * 100_000)


def test_half_a_character_is_dropped(tmp_path):
    (section,) = jsonl(tmp_path, '{"text": "smile \\ud83d", "title": "\\ude00 T"}')
    assert section.text.encode("utf-8") == b"smile"
    assert str(section.heading).encode("utf-8") == b"T"


def test_a_text_wins_over_other_columns():
    section = row_section({"id": 7, "content": "body", "标题": "头"}, 3)
    assert (section.heading, section.text, section.row) == ("头", "body\n\nid: 7", 3)


def test_other_columns_of_a_text_stand_below_it_and_can_be_filtered_by():
    row = {"id": 7, "by": "Woz", "text": "A board.", "sold": True, "tags": ["x"], "price": None}
    section = row_section(row, 1)
    assert section.text == 'A board.\n\nid: 7\nby: Woz\nsold: true\ntags: ["x"]'
    assert section.metadata == {"id": 7, "by": "Woz", "sold": True}


def test_other_columns_of_a_pair_can_be_filtered_by(tmp_path):
    (pair,) = csv(tmp_path, "Question,answer,year,source\nWho?,Woz.,2006,iWoz\n")
    assert (pair.question, pair.text) == ("Who?", "Woz.")
    assert pair.metadata == {"year": "2006", "column_source": "iWoz"}  # ours is the file


def test_columns_of_a_row_can_be_filtered_by(tmp_path):
    (row,) = csv(tmp_path, "model,year,price\nLisa,1983,\n")
    assert row.metadata == {"model": "Lisa", "year": "1983"}


def test_column_names_are_cleaned_too(tmp_path):
    (row,) = jsonl(tmp_path, '{"model \\ud83d": "Lisa \\ude00"}')
    assert (row.text, row.metadata) == ("model: Lisa", {"model": "Lisa"})
