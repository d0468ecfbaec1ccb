"""The served study: nothing lost or doubled, nothing else given out, whatever is sent and whoever dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from raters import Rater, Server, method_of, request

from lumiere.research.study.plan import ANSWERS, CLIPS, load
from lumiere.research.study.storage import Answer, Storage

Serve = Callable[..., Server]


def stored(study: Path) -> dict[tuple[int, str, int], Answer]:
    """What lies on the disk, by rater, pair and question."""
    storage = Storage(study / ANSWERS, load(study).id)
    answers = storage.answers()
    storage.close()
    return {(answer.rater, answer.pair, answer.question): answer for answer in answers}


def test_the_page_and_the_clips_are_served(serve: Serve, study: Path) -> None:
    server = serve(study)
    files = {"/": b"<!DOCTYPE html>", "/study.css": b":root", "/study.js": b'"use strict"'}
    for path, beginning in files.items():
        status, body = request(server.port, "GET", path)
        assert status == 200 and body.startswith(beginning)
    about = json.loads(request(server.port, "GET", "/api/study")[1])
    assert about == {"pairs": 4, "questions": list(load(study).questions)}
    rater = Rater(study, server.port)
    for trial in rater.session()["trials"]:
        assert set(trial) == {"pair", "prompt", "clips", "width", "height", "answers"}
        for clip in trial["clips"]:
            assert request(server.port, "GET", f"/clips/{clip}") == (200, (study / CLIPS / clip).read_bytes())


def test_twenty_raters_at_once_are_all_kept_once(serve: Serve, study: Path) -> None:
    server = serve(study)

    def answer_all(seed: int) -> set[tuple[int, str, int, str]]:
        rater = Rater(study, server.port, seed)
        said = set()
        for trial, question in rater.open_questions():
            chosen = rater.choice(trial)
            for _ in range(1 + seed % 3):  # some send again, as after a lost reply
                assert rater.say(trial, question, chosen) == {"chosen": chosen, "revision": 0}
            said.add((trial["pair"], question, chosen))
        assert rater.open_questions() == []
        return {(seed, *answer) for answer in said}

    with ThreadPoolExecutor(20) as pool:
        said = set().union(*pool.map(answer_all, range(20)))
    kept = stored(study)
    assert len(kept) == len(said) == 20 * 4 * 2
    assert {rater for rater, _, _ in kept} == set(range(1, 21))
    assert sorted((a.pair, a.question, a.chosen) for a in kept.values()) == sorted(s[1:] for s in said)


def test_a_changed_answer_replaces_the_one_before(serve: Serve, study: Path) -> None:
    server = serve(study)
    rater = Rater(study, server.port)
    trial, question = rater.open_questions()[0]
    left, right = trial["clips"]
    rater.say(trial, question, left)
    assert rater.say(trial, question, right, revision=1) == {"chosen": right, "revision": 1}
    assert rater.say(trial, question, left) == {"chosen": right, "revision": 1}  # an old one, sent again
    (answer,) = stored(study).values()
    assert (answer.chosen, answer.side, answer.seconds) == (right, "right", 1.5)


def test_the_server_is_killed_between_any_two_answers(serve: Serve, study: Path) -> None:
    server = serve(study)
    rater = Rater(study, server.port)
    said = {}
    for trial, question in rater.open_questions():
        chosen = rater.choice(trial)
        rater.say(trial, question, chosen)
        said[1, trial["pair"], question] = chosen
        server.kill()
        server = serve(study, server.port)  # the address stays, so that the raters' links do
        assert {key: answer.chosen for key, answer in stored(study).items()} == said
    assert len(said) == 8 and rater.open_questions() == []


def test_the_server_is_killed_amid_answers(serve: Serve, study: Path) -> None:
    """What was acknowledged is there; what was not is sent again, as the page does; all is there once."""
    server = serve(study)
    raters = [Rater(study, server.port, seed) for seed in range(6)]
    asked = [rater.open_questions() for rater in raters]
    restarted = threading.Event()
    acknowledged: list[str] = []

    def answer_all(rater: Rater, questions: list[tuple[dict[str, Any], int]]) -> dict[tuple[str, int], str]:
        said = {}
        for trial, question in questions:
            chosen = said[trial["pair"], question] = rater.choice(trial)
            for _ in range(2):
                try:
                    rater.say(trial, question, chosen)
                    acknowledged.append(chosen)
                    break
                except (OSError, http.client.HTTPException):
                    assert restarted.wait(60)
        return said

    with ThreadPoolExecutor(6) as pool:
        answering = [pool.submit(answer_all, *case) for case in zip(raters, asked, strict=True)]
        while len(acknowledged) < 12:
            time.sleep(0.001)
        server.kill()
        assert len(acknowledged) < 6 * 8
        serve(study, server.port)
        restarted.set()
        said = [future.result() for future in answering]
    kept = stored(study)
    assert len(kept) == 6 * 8
    for number, answers in enumerate(said, 1):
        assert {key[1:]: a.chosen for key, a in kept.items() if key[0] == number} == answers


def test_the_server_ends_in_order(serve: Serve, study: Path) -> None:
    server = serve(study)
    Rater(study, server.port)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert sorted(path.name for path in study.iterdir()) == ["answers.sqlite", "clips", "study.json"]


@pytest.mark.parametrize(
    "path",
    [
        "/clips/../study.json",
        "/clips/..%2fstudy.json",
        "/clips/%2e%2e/study.json",
        "/clips/%2e%2e%2fanswers.sqlite",
        "/clips/..\\study.json",
        "/clips/..%5cstudy.json",
        "/clips/....//study.json",
        "/clips//etc/passwd",
        "/clips/%2fetc%2fpasswd",
        "/clips/%00",
        "/clips/" + "a" * 5000,
        "/clips/0123456789abcdef.mp4",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/%2e%2e/study.json",
        "/study.json",
        "/answers.sqlite",
        "/answers.sqlite-wal",
        "/index.html",
        "/page/study.js",
        "/serve.py",
        "/clips",
        "/api/raters/../../study.json",
    ],
)
def test_no_other_file_is_served(shared: Server, path: str) -> None:
    status, body = request(shared.port, "GET", path)
    assert 400 <= status < 500 and b"root:" not in body and b"lumiere-study/1" not in body


GOOD: dict[str, Any] = {"seconds": 1.5, "revision": 0}
WITH_CHOICE = "CLIP"  # stands for a clip that may be chosen


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 4000, 400),
        (b"[]", 422),
        (b'"CLIP"', 422),
        (b"null", 422),
        (b"{}", 422),
        (b" " * 5000, 413),
        ({**GOOD, "chosen": "left"}, 422),
        ({**GOOD, "chosen": None}, 422),
        ({**GOOD, "chosen": ["CLIP"]}, 422),
        ({**GOOD, "chosen": "\ud800"}, 422),
        ({"chosen": WITH_CHOICE, "seconds": 1}, 422),
        ({"chosen": WITH_CHOICE, "revision": 0}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "seconds": -1}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "seconds": "1"}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "seconds": True}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "seconds": float("nan")}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "seconds": float("inf")}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "revision": -1}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "revision": 0.5}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "revision": True}, 422),
        ({**GOOD, "chosen": WITH_CHOICE, "revision": 10**400}, 422),
    ],
)
def test_a_malformed_answer_is_refused_and_nothing_is_kept(shared: Server, body: Any, status: int) -> None:
    rater = Rater(shared.study, shared.port)
    trial = rater.session()["trials"][0]
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = sent.replace(b"CLIP", trial["clips"][0].encode())
    path = f"/api/raters/{rater.token}/answers/{trial['pair']}/1"
    found, answer = request(shared.port, "PUT", path, sent)
    assert found == status and set(json.loads(answer)) == {"error"}
    assert all(trial["answers"] == {} for trial in rater.session()["trials"])


def test_answers_to_what_was_not_asked_are_refused(shared: Server) -> None:
    rater, study = Rater(shared.study, shared.port), load(shared.study)
    session = rater.session()
    trial, other = session["trials"][:2]
    unseen = next(p for p in study.pairs if p.id not in {t["pair"] for t in session["trials"]})

    def status(token: str, pair: str, question: object, chosen: str) -> int:
        fields = json.dumps({**GOOD, "chosen": chosen}).encode()
        return request(shared.port, "PUT", f"/api/raters/{token}/answers/{pair}/{question}", fields)[0]

    clip = trial["clips"][0]
    assert status(rater.token, trial["pair"], 1, other["clips"][0]) == 422
    assert status(rater.token, unseen.id, 1, unseen.clip) == 404
    assert status("nobody", trial["pair"], 1, clip) == 404
    assert status("%00", trial["pair"], 1, clip) == 404
    assert status("%ff%fe", trial["pair"], 1, clip) == 404
    for question in (0, 3, -1, "1.0", "%31%00", "x"):
        assert status(rater.token, trial["pair"], question, clip) == 404
    assert request(shared.port, "GET", "/api/raters/nobody")[0] == 404
    assert request(shared.port, "POST", f"/api/raters/{rater.token}/answers/{trial['pair']}/1")[0] == 405
    assert request(shared.port, "DELETE", f"/api/raters/{rater.token}")[0] == 405
    assert all(trial["answers"] == {} for trial in rater.session()["trials"])
    assert status(rater.token, trial["pair"], 1, clip) == 200


def test_nothing_that_a_rater_is_sent_names_a_method(shared: Server) -> None:
    rater, study = Rater(shared.study, shared.port), load(shared.study)
    session = rater.session()
    text = json.dumps(session)
    assert not any(method in text for method in (study.method, *study.rivals))
    sides = [method_of(study, trial["clips"][0]) for trial in session["trials"]]
    assert len(sides) == 4
    connection = http.client.HTTPConnection("127.0.0.1", shared.port or 0)
    said = []
    for clip in session["trials"][0]["clips"]:
        connection.request("GET", f"/clips/{clip}")
        response = connection.getresponse()
        response.read()
        said.append(response.getheader("Last-Modified"))
    connection.close()
    assert len(set(said)) == 1


def test_a_port_in_use_is_one_line(run, study: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run("study", "serve", study, "--port", port)
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1
    assert not (study / ANSWERS).exists()
    assert f"cannot serve on 127.0.0.1, port {port}: Address already in use; choose another" in err
    code, _, err = run("study", "serve", study, "--host", "no.such.host.invalid")
    assert code == 2 and "cannot serve on no.such.host.invalid" in err


def test_only_this_machine_is_served_unless_asked(shared: Server) -> None:
    assert shared.url.startswith("http://127.0.0.1:")


def asked(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            method, path, headers={name.replace("_", "-"): say for name, say in headers.items()}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def test_other_names_and_other_pages_are_refused(serve: Serve, study: Path) -> None:
    port = serve(study).port
    assert port is not None
    own = f"http://127.0.0.1:{port}"
    assert asked(port, "GET", "/api/study", Host=f"localhost:{port}") == 200
    assert asked(port, "GET", "/api/study", Host="evil.example") == 403
    assert asked(port, "POST", "/api/raters", Origin=own) == 201
    assert asked(port, "POST", "/api/raters", Origin="http://evil.example") == 403
    assert asked(port, "POST", "/api/raters", Origin="null") == 403
    assert asked(port, "POST", "/api/raters", Origin=own, Sec_Fetch_Site="cross-site") == 403
    assert asked(port, "POST", "/api/raters", Origin="https://public", Sec_Fetch_Site="same-origin") == 201


def test_a_minute_takes_so_many_raters(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lumiere.research.study import serve as module

    monkeypatch.setattr(module, "_JOINS_A_MINUTE", 2)
    monkeypatch.setattr(module, "_SECONDS_TO_SEND", 0.1)
    app = module.application(load(study), study)

    async def status(method: str, path: str) -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(30)  # a body that never comes
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return int(sent[0]["status"])

    token = Storage(study / ANSWERS, load(study).id).join()
    pair = load(study).trials(1)[0].pair.id

    async def all_of_them() -> list[int]:
        joined = [await status("POST", "/api/raters") for _ in range(3)]
        return [*joined, await status("PUT", f"/api/raters/{token}/answers/{pair}/1")]

    assert asyncio.run(all_of_them()) == [201, 201, 429, 408]
