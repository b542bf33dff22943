"""Who is let in, how often, how much, how many at once."""

import json
import threading

import httpx
import pytest

from langchain_graft.server import (
    ApiKeys,
    ServerSettings,
    check_reach,
    create_app,
    read_api_keys,
)
from langchain_graft.server.rate_limit import RateLimit
from langchain_graft.server.settings import is_loopback

ASKED = {"model": "rag", "messages": [{"role": "user", "content": "When was Apple founded?"}]}
KEY = "a-key-of-enough-characters"


def error_of(reply):
    told = json.loads(reply.content)["error"]
    assert set(told) == {"message", "type", "code", "param"}
    return reply.status_code, told["code"]


def test_a_rate_is_kept_for_each():
    now = [0.0]
    rate = RateLimit(2, clock=lambda: now[0])
    assert [rate.take("a") for _ in range(3)] == [0, 0, 30]
    assert rate.take("b") == 0
    now[0] = 29.0
    assert rate.take("a") == 1
    now[0] = 30.0
    assert [rate.take("a"), rate.take("a")] == [0, 30]
    now[0] = 1e6
    assert [rate.take("a") for _ in range(3)] == [0, 0, 30], "a minute's worth, however long it was"
    assert RateLimit(None).take("a") == 0


def test_keys_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_API_KEYS", f"{KEY}1, {KEY}2")
    assert read_api_keys() == [f"{KEY}1", f"{KEY}2"]
    path = tmp_path / "keys.txt"
    path.write_text(f"# ours\n{KEY}\n\n")
    assert read_api_keys(path) == [KEY]
    path.write_text("# none\n")
    with pytest.raises(ValueError, match="No API key in"):
        read_api_keys(path)
    path.write_text("short\n")
    with pytest.raises(ValueError, match="has 5 characters, 16 are needed") as failed:
        read_api_keys(path)
    assert "'short'" not in str(failed.value)


@pytest.mark.parametrize("key", ["schlüssel-der-firma-1", f"{KEY} # somebody's"])
def test_a_key_that_clients_send_in_other_ways_is_refused(key):
    with pytest.raises(ValueError, match="beyond ASCII, or a blank"):
        ApiKeys([key])


async def status_of(app, *, client=("127.0.0.1", 1), method="POST", path=None, headers=None):
    """Of a request from an address, by a name of this machine."""
    transport = httpx.ASGITransport(app=app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asks:
        told = ASKED if method == "POST" else None
        reply = await asks.request(
            method, path or "/v1/chat/completions", json=told, headers=headers
        )
    return reply.status_code


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        (("127.0.0.1", 1), {}, 200),
        (("::1", 1), {}, 200),
        (("203.0.113.5", 1), {}, 403),
        (("127.0.0.1", 1), {"X-Forwarded-For": "203.0.113.5"}, 403),
        (("127.0.0.1", 1), {"Forwarded": "for=203.0.113.5"}, 403),
    ],
)
async def test_without_keys_neither_others_nor_proxies_are_answered(fakes, client, headers, status):
    app = create_app(fakes.served())
    assert await status_of(app, client=client, headers=headers) == status


async def test_only_a_look_at_the_health_needs_no_key(fakes):
    app = create_app(fakes.served(), api_keys=[KEY])
    assert await status_of(app, method="GET", path="/health") == 200
    assert await status_of(app, method="POST", path="/health") == 401


def test_a_key_is_known_by_its_number():
    keys = ApiKeys([f"{KEY}1", f"{KEY}2"])
    assert [keys.number_of(f"{KEY}{n}") for n in ("1", "2", "3", "")] == [0, 1, None, None]
    assert KEY not in repr(vars(keys))
    assert not ApiKeys()


@pytest.mark.parametrize("host", ["::", "192.168.1.2", "example.com"])
def test_who_can_be_reached_needs_a_key(host):
    settings = ServerSettings(host=host)
    with pytest.raises(ValueError, match="can be reached from other machines"):
        check_reach(settings, ApiKeys())
    check_reach(settings, ApiKeys([KEY]))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("[::1]", True),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_what_this_machine_is_called(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "wrong",
    [{"port": -1}, {"timeout_seconds": 0}, {"max_body_bytes": 0}, {"requests_per_minute": 0}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=str(*wrong)):
        ServerSettings(**wrong)


def test_a_web_page_elsewhere_is_refused(serve):
    url = serve()

    def status(**headers):
        return httpx.get(f"{url}/v1/models", headers=headers).status_code

    assert status() == status(origin="http://localhost:3000") == 200
    assert status(host="evil.example") == status(host="evil.example:80") == 403
    assert status(origin="https://evil.example") == status(origin="null") == 403
    assert status(origin="http://[::1") == status(host="[") == 403


def test_with_keys_any_name_of_the_server_will_do(serve):
    url = serve(api_keys=[KEY])
    headers = {"authorization": f"Bearer {KEY}", "host": "graft.example"}
    assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200


def test_a_request_has_a_largest_size(serve):
    url = serve(settings=ServerSettings(max_body_bytes=1000))
    at = f"{url}/v1/chat/completions"
    assert httpx.post(at, json=ASKED).status_code == 200
    assert error_of(httpx.post(at, json={**ASKED, "user": "a" * 2000})) == (
        413,
        "request_too_large",
    )
    in_parts = httpx.post(at, content=iter([b"a" * 600, b"a" * 600]))
    assert error_of(in_parts) == (413, "request_too_large")


def test_who_asks_too_often_is_told_when_to_come_again(serve):
    url = serve(settings=ServerSettings(requests_per_minute=2))
    assert [httpx.get(f"{url}/v1/models").status_code for _ in range(2)] == [200, 200]
    refused = httpx.get(f"{url}/v1/models")
    assert error_of(refused) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert httpx.get(f"{url}/health").status_code == 200


def test_one_more_than_can_wait_is_refused_at_once(serve, fakes):
    model = fakes.silent()
    settings = ServerSettings(max_concurrent=1, max_waiting=0, timeout_seconds=30)
    at = f"{serve(fakes.served(model), settings=settings)}/v1/chat/completions"

    def ask_and_go():
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(at, json=ASKED, timeout=3)

    first = threading.Thread(target=ask_and_go)
    first.start()
    assert model.asked_first.wait(10)
    refused = httpx.post(at, json=ASKED)
    assert error_of(refused) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    first.join()
    assert model.stopped.wait(10), "its place is free again"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/nothing", 404),
    ],
)
def test_what_is_not_there_has_openais_shape(serve, method, path, status):
    assert error_of(httpx.request(method, serve() + path))[0] == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'"text"',
        b'{"model": "rag", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "a"}]}',
        b'{"model": "rag", "max_tokens": ' + b"9" * 5000 + b"}",
    ],
)
def test_no_body_breaks_it(serve, body):
    headers = {"content-type": "application/json"}
    reply = httpx.post(f"{serve()}/v1/chat/completions", content=body, headers=headers)
    assert error_of(reply)[0] in (400, 404)


def test_metrics_count_what_was_asked(serve):
    url = serve()
    httpx.post(f"{url}/v1/chat/completions", json=ASKED)
    httpx.get(f"{url}/v1/models/rag")
    httpx.get(f"{url}/secret-path")
    told = httpx.get(f"{url}/metrics").text
    assert 'graft_requests_total{route="/v1/chat/completions",status="200"} 1.0' in told
    assert 'graft_requests_total{route="/v1/models",status="200"} 1.0' in told
    assert 'graft_requests_total{route="other",status="404"} 1.0' in told
    assert 'graft_tokens_total{kind="completion"}' in told
    assert "secret" not in told
