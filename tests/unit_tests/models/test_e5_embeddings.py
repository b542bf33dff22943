"""Taking a language's direction out of vectors; no weights."""

import json

import numpy as np
import pytest

from langchain_graft.models.e5_embeddings import DIRECTIONS, remove_directions


def test_what_lies_along_a_direction_is_gone():
    direction = np.array([[1.0, 0.0, 0.0]])
    vectors = np.array([[0.6, 0.8, 0.0], [0.6, 0.0, -0.8], [0.0, 0.0, 1.0]])
    expected = [[0, 1, 0], [0, 0, -1], [0, 0, 1]]
    assert remove_directions(vectors, direction) == pytest.approx(np.array(expected))


def test_a_text_and_its_translation_become_the_same():
    """Their vectors differ by the language alone."""
    meaning, language = np.array([3.0, 4.0, 0.0]) / 5, np.array([0.0, 0.0, 1.0])
    pair = np.array([meaning - 0.5 * language, meaning + 0.5 * language])
    pair /= np.linalg.norm(pair, axis=1, keepdims=True)
    english, chinese = remove_directions(pair, language[None])
    assert english == pytest.approx(chinese)
    assert english == pytest.approx(meaning)


def test_two_directions_at_right_angles():
    vectors = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    directions = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 2)))[0].T.astype(np.float32)
    before = vectors.copy()
    rest = remove_directions(vectors, directions)
    assert rest @ directions.T == pytest.approx(np.zeros((5, 2)), abs=1e-6)
    assert np.linalg.norm(rest, axis=1) == pytest.approx(np.ones(5))
    assert remove_directions(rest, directions) == pytest.approx(rest, abs=1e-6)
    assert (vectors == before).all()


def test_a_vector_that_is_nothing_but_language_becomes_zero():
    assert (remove_directions(np.array([[0.0, 2.0]]), np.array([[0.0, 1.0]])) == 0).all()


def test_no_vectors():
    assert remove_directions(np.empty((0, 3)), np.eye(3)[:1]).shape == (0, 3)


def test_the_directions_that_are_shipped_are_of_length_1_and_at_right_angles():
    directions = np.array(json.loads(DIRECTIONS.read_text(encoding="utf-8")))
    assert directions.shape == (2, 384)
    assert directions @ directions.T == pytest.approx(np.eye(2), abs=1e-5)
