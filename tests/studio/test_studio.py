"""The studio: jobs, files and sessions over HTTP, on a tiny model."""

from __future__ import annotations

import base64
import http.client
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from served_studio import Studio

from lumiere.errors import InputError
from lumiere.io.video import Clip, read_metadata
from lumiere.studio import limits
from lumiere.studio.security import check_password
from lumiere.studio.store import Store


def picture(path, size=(32, 32)):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(path)
    return path


def video(path, frames=4):
    Clip(np.random.default_rng(1).integers(0, 255, (frames, 32, 32, 3), np.uint8), 8).save(path)
    return path


def test_a_job_becomes_a_clip_that_can_be_saved_and_says_how_it_was_made(client, tmp_path):
    status, job = client.job("generate", prompt="a b", seed=5, frames=4)
    assert status == 201 and job["state"] in ("waiting", "running")
    assert client.finished(job["id"])["state"] == "done"
    _, state = client.call("GET", "/api/state")
    (file,) = state["files"]
    assert (file["frames"], file["width"], file["settings"]["seed"]) == (4, 32, 5)
    assert file["settings"]["call"] == {"verb": "generate", "prompt": "a b", "seed": 5, "frames": 4}
    for format_ in ("mp4", "webm", "gif", "webp", "apng"):
        status, content = client.raw("GET", f"/api/files/{file['id']}/save/{format_}")
        (path := tmp_path / f"clip.{format_}").write_bytes(content)
        assert status == 200 and read_metadata(path)["prompt"] == "a b"
    _, content = client.raw("GET", f"/api/files/{file['id']}/save/zip")
    zipfile.ZipFile(BytesIO(content)).extractall(tmp_path / "frames")
    assert read_metadata(tmp_path / "frames")["prompt"] == "a b"
    _, content = client.raw("GET", f"/api/files/{file['id']}/slice?row=3")
    assert Image.open(BytesIO(content)).size == (32, 4)
    # A clip that comes back says its settings.
    for format_ in ("webp", "apng"):
        status, again = client.upload(tmp_path / f"clip.{format_}")
        assert status == 201 and again["kind"] == "video" and again["settings"]["call"]["seed"] == 5


@pytest.mark.parametrize(
    "verb",
    [
        "animate", "cinemagraph", "inpaint", "outpaint", "transition", "extend", "edit", "loop", "stylize",
        "upscale",
    ],
)  # fmt: skip
def test_every_tab_makes_a_clip_of_uploads(verb, client, tmp_path):
    _, image = client.upload(picture(tmp_path / "a.png"))
    _, clip = client.upload(video(tmp_path / "b.mp4"))
    mask = np.zeros((64, 64, 4), np.uint8)
    mask[16:40, 16:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    _, painted = client.upload(tmp_path / "mask.png", "&mask=1")
    image, clip, masks = image["id"], clip["id"], {"0": painted["id"]}
    given = {
        "animate": {"image": image, "frames": 4},
        "cinemagraph": {"image": image, "masks": masks, "feather": 2, "frames": 4},
        "inpaint": {"video": clip, "masks": {**masks, "2": painted["id"]}},
        "outpaint": {"video": clip, "canvas": "48x32", "at": "8,0"},
        "transition": {"first": image, "last": image, "frames": 4},
        "extend": {"video": clip, "frames": 6, "given": 2},
        "edit": {"video": clip, "strength": 0.5},
        "loop": {"frames": 4},
        "stylize": {"reference": [image], "caption": "b", "fit_steps": 1, "frames": 4},
        "upscale": {"file": clip, "size": "64"},
    }[verb]
    text = {} if verb == "upscale" else {"prompt": "a"}
    status, job = client.job(verb, steps=2, **text, **given)
    assert status == 201, job
    job = client.finished(job["id"])
    assert job["state"] == "done", job
    _, state = client.call("GET", "/api/state")
    made = next(file for file in state["files"] if file["id"] == job["id"])
    assert made["frames"] == given.get("frames", 4)


def test_a_waiting_job_shows_its_place_and_is_cancelled(client):
    jobs = [client.job("generate", prompt="a", frames=16, steps=30)[1] for _ in range(3)]
    status, job = client.call("POST", f"/api/jobs/{jobs[2]['id']}/cancel")
    assert status == 200 and job["state"] == "cancelled"
    client.call("POST", f"/api/jobs/{jobs[0]['id']}/cancel")
    client.call("POST", f"/api/jobs/{jobs[1]['id']}/cancel")
    assert {client.finished(job["id"])["state"] for job in jobs} == {"cancelled"}
    assert client.call("GET", "/api/state")[1]["files"] == []


def test_a_session_sees_its_own_files_and_jobs_alone(client, studio, tmp_path):
    _, file = client.upload(picture(tmp_path / "mine.png"))
    _, job = client.job("generate", prompt="a", frames=2)
    client.finished(job["id"])
    other = studio.client()
    for path in (
        f"/api/files/{file['id']}/view.webp",
        f"/api/jobs/{job['id']}",
        f"/api/files/{job['id']}/save/mp4",
    ):
        assert client.raw("GET", path)[0] == 200
        assert other.raw("GET", path)[0] == 404
    assert other.call("GET", "/api/state")[1]["files"] == []
    assert other.raw("DELETE", f"/api/files/{file['id']}")[0] == 404
    assert other.job("animate", image=file["id"])[0] == 422


@pytest.mark.parametrize(
    ("verb", "options", "said", "field"),
    [
        ("generate", {"prompt": "x" * 100_000}, "at most", None),
        ("generate", {"prompt": "x" * 5000}, "5000 characters", "prompt"),
        ("generate", {}, "needs 'prompt'", "prompt"),
        ("generate", {"prompt": "a", "out": "/etc/passwd"}, "no option 'out'", None),
        ("generate", {"prompt": "a", "style": "/etc"}, "style is not there", "style"),
        ("generate", {"prompt": "a", "model": "../other"}, "no model", None),
        ("generate", {"prompt": "a", "frames": 10**9}, "frames is", "frames"),
        ("generate", {"prompt": "a", "size": "99999"}, "up to 2048", "size"),
        ("generate", {"prompt": "a", "steps": "many"}, "'many' is not", "steps"),
        ("generate", {"prompt": ["a"]}, "give text", "prompt"),
        ("animate", {"prompt": "a"}, "needs a picture", "image"),
        ("animate", {"image": "/etc/passwd"}, "not there", "image"),
        ("animate", {"image": {"id": 1}}, "give text", "image"),
        ("train", {}, "no job 'train'", None),
    ],
)
def test_a_bad_job_is_refused_in_one_line(verb, options, said, field, client, studio):
    status, answer = client.job(verb, **options)
    assert status in (413, 422) and said in answer["error"] and "\n" not in answer["error"]
    assert answer.get("field") == field
    assert str(studio.store.root) not in answer["error"]
    assert client.call("GET", "/api/jobs")[1]["jobs"] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + os.urandom(400), "x.png"),
        (os.urandom(5000), "no picture or video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n", "no picture or video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "no picture or video"),
        (b"\0\0\0\x20ftypisom" + os.urandom(2000), "x.png"),
    ],
)
def test_garbage_is_refused_and_nothing_of_it_is_kept(content, said, client, studio):
    status, answer = client.call("POST", "/api/files?name=x.png", content)
    assert status == 422 and said in answer["error"] and str(studio.store.root) not in answer["error"]
    assert client.call("GET", "/api/state")[1]["files"] == []
    assert not [*studio.store.root.rglob("*.part"), *studio.store.scratch.iterdir()]


def test_large_uploads_are_refused_before_they_are_decoded(client, tmp_path, monkeypatch):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    status, answer = client.upload(tmp_path / "huge.png")
    assert status == 422 and "178 megapixels; give a picture of up to 25" in answer["error"]
    monkeypatch.setattr(limits, "MOST_BYTES", 1000)
    assert client.call("POST", "/api/files?name=x.png", bytes(2000))[0] == 413
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MOST_VIDEO_FRAMES", 3)
    status, answer = client.upload(video(tmp_path / "long.mp4"))
    assert status == 422 and "4 frames" in answer["error"]


def test_a_mask_of_another_shape_fails_in_one_line(client, tmp_path):
    _, clip = client.upload(video(tmp_path / "b.mp4"))
    Image.new("L", (60, 20), 255).save(tmp_path / "mask.png")
    _, mask = client.upload(tmp_path / "mask.png", "&mask=1")
    _, job = client.job("inpaint", video=clip["id"], masks={"0": mask["id"]})
    job = client.finished(job["id"])
    assert job["state"] == "failed" and "make them alike" in job["error"] and "/" not in job["error"]


def test_an_upload_that_breaks_off_leaves_nothing(client, studio):
    connection = http.client.HTTPConnection("127.0.0.1", studio.port)
    connection.putrequest("POST", "/api/files?name=a.png")
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    connection.send(b"\x89PNG")
    connection.close()
    _, job = client.job("generate", prompt="a", frames=2)
    assert client.finished(job["id"])["state"] == "done"
    assert not list(studio.store.scratch.iterdir())


def test_a_client_that_falls_silent_holds_up_nobody(client, studio, monkeypatch):
    monkeypatch.setattr(limits, "MOST_SILENCE", 0.5)
    silent = http.client.HTTPConnection("127.0.0.1", studio.port)
    silent.putrequest("POST", "/api/files?name=a.png")
    silent.putheader("Content-Length", "100000")
    silent.endheaders()
    silent.send(b"\x89PNG")
    _, job = client.job("generate", prompt="a", frames=2)
    assert client.finished(job["id"])["state"] == "done"
    answer = silent.getresponse()
    assert answer.status == 408 and b"nothing was received for 0.5 s" in answer.read()
    silent.close()
    assert not list(studio.store.scratch.iterdir())


def test_ten_clients_at_once_get_their_own_clips(studio, tmp_path):
    clients = [studio.client() for _ in range(10)]
    garbage = tmp_path / "garbage.png"
    garbage.write_bytes(os.urandom(3000))

    def ask(number):
        assert clients[number].upload(garbage)[0] == 422
        asked = [clients[number].job("generate", prompt=f"{number} {n}", frames=2, steps=1) for n in "ab"]
        return [job["id"] for _, job in asked]

    with ThreadPoolExecutor(10) as pool:
        asked = list(pool.map(ask, range(10)))
    for number, (client, ids) in enumerate(zip(clients, asked, strict=True)):
        assert [client.finished(id_)["state"] for id_ in ids] == ["done", "done"]
        _, state = client.call("GET", "/api/state")
        said = {file["id"]: file["settings"]["prompt"] for file in state["files"]}
        assert said == dict(zip(ids, (f"{number} a", f"{number} b"), strict=True))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({}, 200),
    ],
)
def test_only_its_own_page_talks_to_the_studio(headers, status, client):
    assert client.raw("POST", "/api/prompt", b'{"prompt": "a"}', **headers)[0] == status


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/studio.db", "/studio.db", "/api/files/../studio.db", "/app.py"]
)
def test_no_file_of_the_machine_is_served(path, client):
    assert client.raw("GET", path)[0] in (404, 405)


def test_a_wide_address_needs_a_password():
    with pytest.raises(InputError, match="give a --password"):
        check_password("0.0.0.0", None)
    with pytest.raises(InputError, match="8 or more"):
        check_password("127.0.0.1", "short")
    check_password("0.0.0.0", "long enough")
    check_password("127.0.0.1", None)


def test_the_password_is_asked_for(conditioned_bundle, tmp_path):
    studio = Studio(tmp_path / "out", [conditioned_bundle], password="open sesame")
    try:
        client = studio.client()
        assert client.raw("GET", "/api/state")[0] == 401
        for password, status in (("wrong", 401), ("open sesame", 200)):
            basic = base64.b64encode(f"me:{password}".encode()).decode()
            assert client.raw("GET", "/api/jobs", Authorization=f"Basic {basic}")[0] == status
    finally:
        studio.close()


def test_what_a_kill_interrupted_is_listed_and_what_was_finished_is_kept(tmp_path):
    store = Store(tmp_path)
    done, running, _ = (store.add_job("s", "generate", {"prompt": name}) for name in "abc")
    store.folder("s", done.id).mkdir(parents=True)
    store.folder("s", "leftover").mkdir()
    unfinished = [store.scratch / "tmp1", store.folder("s", done.id) / ".0123456789ab.part.zip"]
    for path in unfinished:
        path.write_bytes(b"half")
    for job in (done, running):
        store.start(job)
    store.add_file("s", "a", "clip", {}, done.id)
    with pytest.raises(InputError, match="another studio"):
        Store(tmp_path)
    store.close()
    store = Store(tmp_path)
    assert [job.state for job in store.jobs("s")] == ["interrupted", "interrupted", "done"]
    assert store.folder("s", done.id).is_dir() and not store.folder("s", "leftover").exists()
    assert not any(path.exists() for path in unfinished)
    store.close()
