"""A fleet against servers that speak vLLM's API: what fails is undone, what answers is right."""

import asyncio
import gc
import importlib.util
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_graft.errors import (
    AdapterInUseError,
    AdapterNotFoundError,
    FleetError,
    ModelServerError,
)
from langchain_graft.finetune_bridge import AdapterRef, Fleet, FleetChatModel, VllmReplica
from langchain_graft.finetune_bridge.adapters.manifest import Probe
from langchain_graft.finetune_bridge.fleet.probe import disagreement

spec = importlib.util.spec_from_file_location(
    "vllm_server", Path(__file__).with_name("vllm_server.py")
)
vllm = importlib.util.module_from_spec(spec)
sys.modules["vllm_server"] = vllm
spec.loader.exec_module(vllm)


@pytest.fixture
def serve():
    """Start a server; it stops with the test."""
    servers = []

    def serve(**settings):
        servers.append(vllm.VllmServer(**settings))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def adapter(tmp_path):
    """Write `legal@00000n`; its folder, and the voice that its answers begin with."""

    def adapter(n, **config):
        folder = tmp_path / f"{n:06}"
        return folder, vllm.write_adapter(folder, f"weights {n}".encode(), **config)

    return adapter


@pytest.fixture
def servers(serve):
    return [serve(), serve()]


@pytest.fixture
def fleet(servers):
    with Fleet([one.url for one in servers], timeout_seconds=10, drain_seconds=5) as fleet:
        yield fleet


def voice(message):
    return message.content.split()[0]


# -- promotion


def test_a_promoted_version_answers_and_the_former_is_gone(fleet, servers, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    model = fleet.chat_model("legal")
    assert fleet.promote("legal@000001", one).former is None
    assert voice(model.invoke("Who?")) == first
    promotion = fleet.promote(AdapterRef("legal", 2), two)
    assert (promotion.former, promotion.left) == (AdapterRef("legal", 1), ())
    reply = model.invoke("Who?")
    assert voice(reply) == second
    assert reply.response_metadata["adapter"] == "legal@000002"
    assert [one.served() for one in servers] == [["legal-000002"]] * 2
    with pytest.raises(AdapterNotFoundError, match=r"base, legal, legal@000002"):
        model.invoke("Who?", config={"configurable": {"adapter": "legal@000001"}})


def test_a_version_is_tried_before_it_is_promoted(fleet, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    fleet.promote("legal@000001", one)
    fleet.load("legal@000002", two)
    model = fleet.chat_model("legal")
    tried = model.invoke("Who?", config={"configurable": {"adapter": "legal@000002"}})
    assert (voice(tried), voice(model.invoke("Who?"))) == (second, first)
    assert voice(fleet.chat_model("legal@current").invoke("Who?")) == first
    assert voice(fleet.chat_model().invoke("Who?")) == vllm.BASE_VOICE
    fleet.unload("legal@000002")
    with pytest.raises(AdapterInUseError, match="promote another"):
        fleet.unload("legal@000001")


def test_rollback_goes_back_step_by_step(fleet, adapter):
    voices = {}
    for n in (1, 2, 3):
        folder, voices[n] = adapter(n)
        fleet.promote(f"legal@{n:06}", folder)
    model = fleet.chat_model("legal")
    for n in (2, 1):
        assert fleet.rollback("legal").ref == AdapterRef("legal", n)
        assert voice(model.invoke("Who?")) == voices[n]
    with pytest.raises(FleetError, match="meant nothing else"):
        fleet.rollback("legal")


def test_what_is_loaded_already_is_taken_as_it_is(fleet, servers, adapter):
    folder, _ = adapter(1)
    fleet.promote("legal@000001", folder)
    fleet.promote("legal@000001", folder)
    with Fleet([one.url for one in servers]) as anew:
        anew.promote("legal@000001", folder)
        assert anew.chat_model("legal").invoke("Who?").response_metadata["adapter"]
    assert [one.counter for one in servers] == [1, 1]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"rank": 64}, "higher --max-lora-rank"),
        ({"layers": ["Wqkv"]}, "not served by vLLM"),
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_what_vllm_refuses_changes_nothing(fleet, servers, adapter, config, reason):
    (one, first), (two, _) = adapter(1), adapter(2, **config)
    fleet.promote("legal@000001", one)
    with pytest.raises(FleetError, match=reason) as error:
        fleet.promote("legal@000002", two)
    assert all(one.url in str(error.value) for one in servers)
    assert voice(fleet.chat_model("legal").invoke("Who?")) == first
    assert [one.served() for one in servers] == [["legal-000001"]] * 2


def test_what_one_server_loaded_is_unloaded_when_another_fails(fleet, servers, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    fleet.promote("legal@000001", one)

    def fail(name):
        raise vllm.RefusedError(500, "InternalServerError", "CUDA out of memory")

    servers[1].on_load = fail
    with pytest.raises(FleetError, match="CUDA out of memory") as error:
        fleet.promote("legal@000002", two)
    assert servers[1].url in str(error.value)
    assert servers[0].url not in str(error.value)
    assert [one.served() for one in servers] == [["legal-000001"]] * 2
    assert voice(fleet.chat_model("legal").invoke("Who?")) == first
    servers[1].on_load = None
    fleet.promote("legal@000002", two)
    assert voice(fleet.chat_model("legal").invoke("Who?")) == second


def test_a_load_that_ends_behind_its_time_is_undone(serve, adapter):
    server = serve()
    folder, _ = adapter(1)
    with Fleet([server.url], timeout_seconds=0.5) as fleet:
        server.on_load = lambda _: time.sleep(0.7)
        with pytest.raises(FleetError, match="can not be reached"):
            fleet.promote("legal@000001", folder)
        until = time.monotonic() + 5
        while server.served() and time.monotonic() < until:
            time.sleep(0.02)
        assert server.served() == []


def test_servers_that_answer_otherwise_are_found(serve, adapter):
    servers = [serve(), serve(noise=0.5)]
    folder, _ = adapter(1)
    with Fleet([one.url for one in servers]) as fleet:
        with pytest.raises(FleetError, match=r"0\.500 nats off, 0\.2 are allowed"):
            fleet.promote("legal@000001", folder)
        assert [one.served() for one in servers] == [[], []]
    with Fleet([one.url for one in servers], tolerance=0.6) as fleet:
        fleet.promote("legal@000001", folder)


def test_the_answer_of_where_it_was_made_is_compared(fleet, servers, adapter):
    folder, tone = adapter(1)
    told = servers[0].next_logprobs(tone, "Hi")
    good = Probe(prompt="Hi", token_ids=tuple(told), logprobs=tuple(told.values()))
    best = max(told, key=told.get)
    bad = Probe(prompt="Hi", token_ids=(best, 999_999), logprobs=(told[best], told[best] - 0.1))
    with pytest.raises(FleetError, match="answers a probe otherwise"):
        fleet.promote("legal@000001", folder, probe=[good, bad])
    fleet.promote("legal@000001", folder, probe=[good])
    assert [one.served() for one in servers] == [["legal-000001"]] * 2


def test_disagreement_is_the_greatest_difference_of_likely_tokens():
    assert disagreement({1: -0.5, 2: -1.0}, {1: -0.7, 2: -1.1}) == pytest.approx(0.2)
    assert disagreement({1: -0.5, 2: -9.0}, {1: -0.5, 2: -8.0}) == 0  # both unlikely
    assert disagreement({1: -0.5, 2: -2.0}, {1: -0.5, 3: -2.0}) == 0  # within what is not told
    assert disagreement({1: -0.5, 2: -0.9}, {1: -0.5, 3: -2.0}) == pytest.approx(1.1)


def test_a_name_is_never_used_for_two_paths(fleet, servers, adapter):
    (one, first), (two, _) = adapter(1), adapter(2)
    fleet.promote("legal@000001", one)
    with pytest.raises(FleetError, match="A name is never used twice"):
        fleet.promote("legal@000001", two)
    assert voice(fleet.chat_model("legal").invoke("Who?")) == first


def test_wrong_arguments(fleet, adapter, serve):
    folder, _ = adapter(1)
    with pytest.raises(ValueError, match="absolute path"):
        fleet.promote("legal@000001", "adapters/legal")
    with pytest.raises(ValueError, match="adapter's version"):
        fleet.promote("legal", folder)
    with pytest.raises(ValueError, match="at least one server"):
        Fleet([])
    with pytest.raises(ValueError, match="each once"):
        Fleet(["http://a:1", "http://a:1/v1/"])
    with pytest.raises(ValueError, match="http"):
        VllmReplica("localhost:8000")
    with pytest.raises(ValueError, match="Ask for an adapter by"):
        fleet.chat_model().invoke("Who?", model="legal-000001")
    with pytest.raises(FleetError, match="different base models"):
        Fleet([serve().url, serve(base="other/base").url])
    with pytest.raises(FleetError, match="can not be reached"):
        Fleet(["http://127.0.0.1:9"])


def test_a_server_that_may_not_load_says_how_to_start_it(serve, adapter):
    folder, _ = adapter(1)
    with (
        Fleet([serve(allow_updating=False).url]) as fleet,
        pytest.raises(FleetError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
    ):
        fleet.promote("legal@000001", folder)


def test_each_server_is_given_its_own_key(serve, adapter):
    servers = [serve(api_key="one"), serve(api_key="two")]
    folder, tone = adapter(1)
    with pytest.raises(FleetError, match="Give the api_key"):
        Fleet([servers[0].url])
    replicas = [VllmReplica(one.url, api_key=one.api_key) for one in servers]
    with Fleet(replicas) as fleet:
        fleet.promote("legal@000001", folder)
        model = fleet.chat_model("legal")
        assert {voice(model.invoke("Who?")) for _ in range(4)} == {tone}
        assert all("/v1/chat/completions" in dict(one.log) for one in servers)


# -- leases


async def collect(model, how, question, **kwargs):
    if how == "invoke":
        return model.invoke(question, **kwargs)
    if how == "ainvoke":
        return await model.ainvoke(question, **kwargs)
    whole = None
    pieces = (
        list(model.stream(question, **kwargs))
        if how == "stream"
        else [piece async for piece in model.astream(question, **kwargs)]
    )
    for piece in pieces:
        whole = piece if whole is None else whole + piece
    return whole


HOW = pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])


@HOW
async def test_every_way_to_ask_has_the_adapter_and_says_so(fleet, adapter, how):
    folder, tone = adapter(1)
    fleet.promote("legal@000001", folder)
    reply = await collect(fleet.chat_model("legal"), how, "Who?")
    assert reply.content == f"{tone} says to Who?."
    assert reply.response_metadata["adapter"] == "legal@000001"
    assert reply.response_metadata["model_name"] == "legal-000001"
    assert reply.usage_metadata["total_tokens"] == 8
    named = {"configurable": {"adapter": "base"}}
    reply = await collect(fleet.chat_model("legal"), how, "Who?", config=named)
    assert reply.content == f"{vllm.BASE_VOICE} says to Who?."
    assert reply.response_metadata["adapter"] == "base"
    assert not any(one.held for one in fleet.router.adapters().values())
    assert not any(route.held for route in fleet.router.routes)


def test_a_stream_ends_with_the_version_that_it_began_with(fleet, servers, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    fleet.promote("legal@000001", one)
    model = fleet.chat_model("legal")
    for server in servers:
        server.pause = 0.1
    pieces = model.stream("Who?")
    said = next(pieces).content
    with ThreadPoolExecutor(1) as pool:
        promotion = pool.submit(fleet.promote, "legal@000002", two)
        until = time.monotonic() + 5
        while fleet.router.current("legal") != AdapterRef("legal", 2):
            assert time.monotonic() < until
            time.sleep(0.005)
        assert servers[0].served() == ["legal-000001", "legal-000002"]
        assert voice(model.invoke("Who?")) == second  # the new one answers, the old one streams
        said += "".join(piece.content for piece in pieces)
        assert promotion.result(5).left == ()
    assert said == f"{first} says to Who?."
    assert [one.served() for one in servers] == [["legal-000002"]] * 2


def test_what_answers_for_too_long_is_left_until_the_next_promotion(servers, adapter):
    folders = [adapter(n)[0] for n in (1, 2, 3)]
    with Fleet([one.url for one in servers], drain_seconds=0.1) as fleet:
        fleet.promote("legal@000001", folders[0])
        lease = fleet.lease("legal")
        promotion = fleet.promote("legal@000002", folders[1])
        assert "still answers" in promotion.left[0]
        assert servers[0].served() == ["legal-000001", "legal-000002"]
        lease.release()
        assert fleet.promote("legal@000003", folders[2]).left == ()
        assert [one.served() for one in servers] == [["legal-000003"]] * 2


def held(fleet):
    return sum(len(one.held) for one in fleet.router.adapters().values()) + sum(
        len(route.held) for route in fleet.router.routes
    )


def test_a_stream_that_is_closed_or_thrown_away_gives_its_adapter_back(fleet, adapter):
    fleet.promote("legal@000001", adapter(1)[0])
    model = fleet.chat_model("legal")
    closed = model.stream("Who?")
    next(closed)
    assert held(fleet) == 3  # the call's, the answer's, and the server's
    closed.close()
    assert held(fleet) == 0
    thrown = model.stream("Who?")
    next(thrown)
    del thrown
    gc.collect()
    assert held(fleet) == 0
    model.stream("never begun")
    assert held(fleet) == 0


async def test_an_async_stream_that_is_closed_cancelled_or_thrown_away(fleet, servers, adapter):
    fleet.promote("legal@000001", adapter(1)[0])
    model = fleet.chat_model("legal")
    closed = model.astream("Who?")
    await anext(closed)
    await closed.aclose()
    assert held(fleet) == 0

    thrown = model.astream("Who?")
    await anext(thrown)
    del thrown
    gc.collect()
    await asyncio.sleep(0.05)  # the loop closes it
    assert held(fleet) == 0

    for server in servers:
        server.pause = 1.0
    asked = asyncio.create_task(model.ainvoke("Who?"))
    await asyncio.sleep(0.2)
    assert held(fleet) == 3
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert held(fleet) == 0


def test_an_error_gives_the_adapter_back(fleet, servers, adapter):
    fleet.promote("legal@000001", adapter(1)[0])
    for server in servers:
        server.dead = True
    with pytest.raises(ModelServerError, match="No server of the fleet answers"):
        fleet.chat_model("legal", max_retries=0).invoke("Who?")
    assert held(fleet) == 0


# -- servers that restart, die, or are slow


@HOW
async def test_a_server_that_was_restarted_is_given_the_adapter_again(serve, adapter, how):
    server = serve()
    folder, tone = adapter(1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        server.restart()
        reply = await collect(fleet.chat_model("legal"), how, "Who?")
        assert voice(reply) == tone
        assert server.served() == ["legal-000001"]


def test_many_requests_that_find_it_gone_load_it_once(serve, adapter):
    server = serve()
    folder, tone = adapter(1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        server.restart()
        model = fleet.chat_model("legal")
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: voice(model.invoke("Who?")), range(16)))
    assert set(replies) == {tone}
    assert server.counter == 2


def test_files_that_were_changed_meanwhile_are_found(serve, adapter):
    server = serve()
    folder, _ = adapter(1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        vllm.write_adapter(folder, b"another adapter")
        server.restart()
        with pytest.raises(FleetError, match="loaded anew answers a probe otherwise"):
            fleet.chat_model("legal").invoke("Who?")
        assert server.served() == []


def test_an_adapter_that_is_gone_for_good_is_told_of(serve, adapter):
    server = serve()
    folder, _ = adapter(1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        (folder / "adapter_config.json").unlink()
        server.restart()
        with pytest.raises(FleetError, match="No adapter found"):
            fleet.chat_model("legal").invoke("Who?")


@HOW
async def test_a_server_that_takes_no_adapter_any_more_is_passed_over(serve, adapter, how):
    lost, up = serve(), serve()
    folder, tone = adapter(1)
    with Fleet([lost.url, up.url]) as fleet:
        fleet.promote("legal@000001", folder)
        lost.restart()
        lost.allow_updating = False
        model = fleet.chat_model("legal")
        for _ in range(4):
            assert voice(await collect(model, how, "Who?")) == tone
        up.restart()
        up.allow_updating = False
        with pytest.raises(FleetError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await collect(model, how, "Who?")


@pytest.mark.parametrize("cards", [None, [{}], ["base"], 7])
def test_a_server_that_lists_no_models_is_told_of(serve, cards):
    server = serve()
    server.cards = lambda: cards
    with pytest.raises(FleetError, match="does not answer as vLLM does"):
        VllmReplica(server.url).models()


@HOW
async def test_a_server_that_is_down_is_passed_over(serve, adapter, how):
    up, down = serve(), serve()
    folder, tone = adapter(1)
    with Fleet([down.url, up.url]) as fleet:
        fleet.promote("legal@000001", folder)
        down.http.server_close()
        down.http.shutdown()
        model = fleet.chat_model("legal", max_retries=0)
        for _ in range(3):
            assert voice(await collect(model, how, "Who?")) == tone


def test_a_server_that_dies_while_it_answers(serve, adapter):
    server = serve(pause=0.05)
    folder, _ = adapter(1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        pieces = fleet.chat_model("legal").stream("Who?")
        next(pieces)
        server.dead = True
        with pytest.raises(ModelServerError, match="died while it answered"):
            list(pieces)
        assert held(fleet) == 0


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_an_answer_that_is_cut_is_told_of(serve, how):
    with (
        Fleet([serve(cuts=True).url]) as fleet,
        pytest.raises(ModelServerError, match="before its answer was whole"),
    ):
        await collect(fleet.chat_model(), how, "Who?")


def test_no_wait_is_without_end(serve, adapter):
    server = serve()
    folder, _ = adapter(1)
    with Fleet([server.url], timeout_seconds=0.3) as fleet:
        fleet.promote("legal@000001", folder)
        server.pause = 1.0
        with pytest.raises(openai.APITimeoutError):
            fleet.chat_model("legal", max_retries=0).invoke("Who?")
        with (
            fleet.router.quiet(fleet.router.routes[0], seconds=5),
            pytest.raises(FleetError, match="loading for"),
        ):
            fleet.chat_model("legal").invoke("Who?")


# -- each of vLLM's bugs: it hurts who does not know it, and not the fleet


def naive_reload(server, name, folder, **settings):
    """Unload and load under the same name, as vLLM's own documentation shows it."""
    body = {"lora_name": name}
    if "load_inplace" not in settings:
        httpx.post(f"{server.url}/v1/unload_lora_adapter", json=body)
    reply = httpx.post(
        f"{server.url}/v1/load_lora_adapter", json={**body, "lora_path": str(folder), **settings}
    )
    return reply.status_code


def naive_ask(server, model, question="Who?"):
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=body).json()
    return reply["choices"][0]["message"]["content"].split()[0]


@pytest.mark.parametrize("settings", [{}, {"load_inplace": True}])
def test_bug_stale_prefix_cache(serve, adapter, settings):
    server = serve(bugs={vllm.STALE_PREFIX_CACHE})
    (one, first), (two, second) = adapter(1), adapter(2)
    naive_reload(server, "legal", one)
    assert naive_ask(server, "legal") == first
    assert naive_reload(server, "legal", two, **settings) == 200
    assert naive_ask(server, "legal") == first  # wrong: it should be the second
    with Fleet([server.url]) as fleet:
        model = fleet.chat_model("legal")
        for folder, n, tone in ((one, 1, first), (two, 2, second)):
            fleet.promote(f"legal@{n:06}", folder)
            assert voice(model.invoke("Who?")) == tone
        fleet.rollback("legal")
        assert voice(model.invoke("Who?")) == first


def test_bug_load_inplace_reads_again(serve, adapter):
    server = serve(bugs={vllm.LOAD_INPLACE_READS_AGAIN})
    folder, first = adapter(1)
    naive_reload(server, "legal", folder, load_inplace=True)
    before = server.reads
    for _ in range(5):
        naive_ask(server, "legal")
    assert server.reads == before + 5  # from the disk, at each request
    server.log.clear()
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", folder)
        before = server.reads
        for _ in range(5):
            assert voice(fleet.chat_model("legal").invoke("Who?")) == first
        assert server.reads == before
    assert not any((asked or {}).get("load_inplace") for _, asked in server.log)


def test_bug_unloading_keeps_the_slot(serve, adapter):
    server = serve(bugs={vllm.UNLOAD_KEEPS_THE_SLOT, vllm.STALE_PREFIX_CACHE}, max_cpu_loras=3)
    with Fleet([server.url]) as fleet:
        model = fleet.chat_model("legal")
        for n in range(1, 8):
            folder, tone = adapter(n)
            fleet.promote(f"legal@{n:06}", folder)
            assert voice(model.invoke("Who?")) == tone
            assert server.served() == [f"legal-{n:06}"]
            assert len(server.resident) <= 3  # until another needs the slot


def test_bug_what_lost_its_slot_can_not_be_unloaded(serve, adapter):
    server = serve(bugs={vllm.UNLOAD_OF_EVICTED_FAILS}, max_cpu_loras=1)
    with Fleet([server.url]) as fleet:
        fleet.promote("legal@000001", adapter(1)[0])
        assert fleet.promote("legal@000002", adapter(2)[0]).left == ()
        assert server.served() == ["legal-000002"]


def test_bug_layers_of_unknown_names_are_dropped(serve, adapter):
    server = serve(bugs={vllm.UNKNOWN_PREFIX_IS_BASE})
    folder, _ = adapter(1, prefix="model.language_model.")
    assert naive_reload(server, "legal", folder) == 200
    assert naive_ask(server, "legal") == vllm.BASE_VOICE  # not the adapter's
    with Fleet([server.url]) as fleet, pytest.raises(FleetError, match="as the base model does"):
        fleet.promote("legal@000001", folder)


class Askers:
    """Threads that ask without a pause; what was answered by which version, and what wrongly."""

    def __init__(self, model, voices, ways=("invoke",)):
        self.model, self.voices, self.ways = model, voices, ways
        self.answered, self.wrong = [], []
        self.stop = threading.Event()

    def __call__(self, number):
        with asyncio.Runner() as runner:
            self.ask(number, runner)
            runner.run(asyncio.sleep(0.05))  # connections that are being closed

    def ask(self, number, runner):
        n = 0
        while not self.stop.is_set():
            n += 1
            asked = "base" if n % 3 == 0 else "legal"
            config = {"configurable": {"adapter": asked}}
            way = self.ways[number % len(self.ways)]
            if way == "thrown away":
                next(self.model.stream("Q", config=config))
                continue
            reply = runner.run(collect(self.model, way, f"Q{n % 4}", config=config))
            reference = reply.response_metadata["adapter"]
            self.answered.append(reference)
            if voice(reply) != self.voices[reference] or not reference.startswith(asked):
                self.wrong.append((asked, reference, reply.content))

    @contextmanager
    def asking(self, threads):
        with ThreadPoolExecutor(threads) as pool:
            running = [pool.submit(self, number) for number in range(threads)]
            try:
                yield
            finally:
                self.stop.set()
            for each in running:
                each.result(30)


@pytest.mark.parametrize("count", [1, 2])
def test_bug_loading_crashes_answers(serve, adapter, count):
    (one, first), (two, second) = adapter(1), adapter(2)
    voices = {"base": vllm.BASE_VOICE, "legal@000001": first, "legal@000002": second}
    servers = [serve(bugs={vllm.LOADING_CRASHES_ANSWERS}, pause=0.02) for _ in range(count)]
    with Fleet([one.url for one in servers], load_while_answering=False) as fleet:
        fleet.promote("legal@000001", one)
        model = fleet.chat_model("legal", max_retries=0)
        askers = Askers(model, voices)
        with askers.asking(4):
            time.sleep(0.2)
            fleet.promote("legal@000002", two)
            time.sleep(0.2)
        assert askers.wrong == []
        assert voices.keys() == set(askers.answered)
        assert not any(one.dead for one in servers)


def test_bug_loading_crashes_answers_of_who_does_not_wait(serve, adapter):
    server = serve(bugs={vllm.LOADING_CRASHES_ANSWERS}, pause=0.2)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(naive_ask, server, vllm.BASE)
        while not server.answering:
            time.sleep(0.005)
        assert naive_reload(server, "legal", adapter(1)[0]) == 500
        assert isinstance(asked.exception(10), KeyError)  # it was answered by an error


# -- all at once


def test_race_of_eight_threads_while_adapters_flip(serve, adapter):
    servers = [serve(bugs={vllm.STALE_PREFIX_CACHE, vllm.UNLOAD_KEEPS_THE_SLOT}) for _ in range(2)]
    versions = {n: adapter(n) for n in range(1, 6)}
    voices = {f"legal@{n:06}": tone for n, (_, tone) in versions.items()}
    voices["base"] = vllm.BASE_VOICE
    with Fleet([one.url for one in servers], timeout_seconds=30) as fleet:
        fleet.promote("legal@000001", versions[1][0])
        ways = ("astream", "stream", "thrown away", "invoke")
        askers = Askers(fleet.chat_model("legal"), voices, ways)
        with askers.asking(8):
            for turn in range(12):
                n = turn % 5 + 1
                fleet.promote(f"legal@{n:06}", versions[n][0])
                if turn == 6:
                    servers[0].restart()
        gc.collect()
        assert askers.wrong == []
        assert set(askers.answered) == set(voices)
        assert held(fleet) == 0
        assert servers[1].served() == ["legal-000002"]


# -- as a chat model


def test_a_cache_knows_the_version(fleet, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    set_llm_cache(InMemoryCache())
    try:
        fleet.promote("legal@000001", one)
        model = fleet.chat_model("legal")
        assert [voice(model.invoke("Who?")) for _ in range(2)] == [first] * 2
        assert model.generate([[HumanMessage("Who?")]]).generations[0][0].text.startswith(first)
        fleet.promote("legal@000002", two)
        assert voice(model.invoke("Who?")) == second
        assert model.generate([[HumanMessage("Who?")]]).generations[0][0].text.startswith(second)
    finally:
        set_llm_cache(None)


def test_a_cache_tells_the_adapters_of_two_fleets(serve, adapter):
    (one, first), (two, second) = adapter(1), adapter(2)
    set_llm_cache(InMemoryCache())
    try:
        for folder, tone in ((one, first), (two, second)):
            with Fleet([serve().url]) as fleet:
                fleet.promote("legal@000001", folder)
                assert voice(fleet.chat_model("legal").invoke("Who?")) == tone
    finally:
        set_llm_cache(None)


def test_tools_schemas_and_grammars_are_sent_as_vllm_takes_them(fleet, servers, adapter):
    folder, tone = adapter(1)
    fleet.promote("legal@000001", folder)
    model = fleet.chat_model("legal")

    def say(text: str) -> str:
        """Say it."""
        return text

    reply = model.bind_tools([say], tool_choice="any").invoke("Who?")
    assert reply.tool_calls[0]["name"] == "say"
    assert reply.tool_calls[0]["args"] == {"text": tone}
    assert reply.response_metadata["adapter"] == "legal@000001"

    schema = {"title": "T", "type": "object", "properties": {"a": {"type": "string"}}}
    with pytest.raises(Exception, match="Invalid json"):  # the server's answer is none
        model.with_structured_output(schema).invoke("Who?")
    model.bind(extra_body={"grammar": 'root ::= "a"'}).invoke("Who?")
    sent = [asked for server in servers for path, asked in server.log if "chat" in path]
    assert any(
        one.get("response_format", {}).get("json_schema", {}).get("schema") == schema
        for one in sent
    )
    assert any(one.get("structured_outputs") == {"grammar": 'root ::= "a"'} for one in sent)
    assert not any("adapter" in one for one in sent)


async def test_events_have_the_adapter(fleet, adapter):
    folder, tone = adapter(1)
    fleet.promote("legal@000001", folder)
    model = fleet.chat_model()
    config = {"configurable": {"adapter": "legal"}}
    events = [event async for event in model.astream_events("Who?", config, version="v2")]
    assert voice(events[-1]["data"]["output"]) == tone
    assert held(fleet) == 0


def test_tokens_are_counted_by_the_server(fleet):
    model = fleet.chat_model()
    assert model.get_num_tokens("one two three") == 3
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")]) > 0


class TestFleetChatModel(ChatModelUnitTests):
    chat_model_class = FleetChatModel
    server = None

    @pytest.fixture(autouse=True)
    def _fleet(self, serve):
        with Fleet([serve().url]) as fleet:
            type(self).fleet = fleet
            yield

    @property
    def chat_model_params(self):
        settings = {"model": self.fleet.base, "api_key": "none", "fleet": self.fleet}
        return {**settings, "base_url": f"{self.fleet.replicas[0].url}/v1"}

    @property
    def init_from_env_params(self):
        return {}, {}, {}
