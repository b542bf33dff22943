"""The two scripts of Chinese."""

import subprocess
import sys

import pytest

from langchain_graft.han import simplified, traditional
from langchain_graft.wording import content_words

PAIRS = [("喬布斯", "乔布斯"), ("蘋果電腦公司", "苹果电脑公司"), ("臺灣大學", "台湾大学")]


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_both_scripts_become_one(old, new):
    assert simplified(old) == simplified(new) == new
    assert traditional(new) == traditional(old) == old


@pytest.mark.parametrize("text", ["", "Steve Jobs, 1976", "乾隆在後宮。Ａ", "後" * 3])
def test_places_stay(text):
    assert len(simplified(text)) == len(text)


def test_a_character_does_not_depend_on_its_neighbours():
    assert simplified("乾隆") == simplified("乾") + simplified("隆")


def test_what_is_said_is_the_same_in_both():
    assert content_words("喬布斯創辦了蘋果電腦") == content_words("乔布斯创办了苹果电脑")


def test_without_the_package_the_text_stays_as_it_is():
    code = (
        "import sys; sys.modules['opencc'] = None\n"
        "from langchain_graft.han import simplified, traditional\n"
        "assert simplified('喬布斯') == '喬布斯' and traditional('乔布斯') == '乔布斯'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
