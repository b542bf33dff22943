"""Threads and numbers of torch, without a change for anybody else."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.sentence_embeddings import _workers
from langchain_graft.models.torch_device import choose_dtype, compute_with


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def told_in_a_new_thread():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_threads_are_set_for_the_calling_thread_alone():
    told = []

    def work():
        compute_with(2)
        told.append(torch.get_num_threads())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [2] * 4
    assert torch.get_num_threads() == told_in_a_new_thread() == 3


@pytest.mark.parametrize(("asked", "expected"), [(None, 2), (1, 1), (4, 4)])
def test_an_engine_computes_with_its_own_threads(tiny_folder, asked, expected):
    """By default it leaves a core to others: a thread that waits for one holds up all."""
    settings = TransformersSettings(device="cpu", threads=asked)
    engine = TransformersEngine.load(str(tiny_folder), settings)
    assert engine.run(torch.get_num_threads).result() == expected
    assert torch.get_num_threads() == told_in_a_new_thread() == 3


def test_an_engine_has_a_thread_where_torch_has_one(tiny_folder):
    torch.set_num_threads(1)
    engine = TransformersEngine.load(str(tiny_folder), TransformersSettings(device="cpu"))
    assert engine.run(torch.get_num_threads).result() == 1


def test_each_core_embeds_with_one_thread():
    workers = _workers("cpu")
    assert {workers.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
    assert torch.get_num_threads() == told_in_a_new_thread() == 3


def test_numbers_by_name():
    assert choose_dtype("bfloat16", "cpu") is torch.bfloat16
    assert choose_dtype(None, "mps") is torch.float32
    assert choose_dtype(None, "cpu") in (torch.float32, torch.bfloat16)
    with pytest.raises(ValueError, match="not 'int8'"):
        choose_dtype("int8", "cpu")


def test_nobody_hears_of_kernels_that_nobody_asked_for(caplog):
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s", "no kernels")
    logger.warning("Something else")
    assert [record.getMessage() for record in caplog.records] == ["Something else"]
