"""A studio on a port of its own, and clients that keep their cookie."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar


class Client:
    """A browser's session without a browser."""

    def __init__(self, address):
        self.address = address
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open

    def raw(self, method, path, body=None, **headers):
        """Status and bytes."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, body, headers, method=method)
        try:
            with self.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def call(self, method, path, content=None, **headers):
        """Status and JSON."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        status, answer = self.raw(method, path, body, **headers)
        return status, json.loads(answer)

    def job(self, verb, **options):
        return self.call("POST", "/api/jobs", {"verb": verb, "options": options})

    def upload(self, path, query=""):
        return self.call("POST", f"/api/files?name={path.name}{query}", path.read_bytes())

    def finished(self, id_, seconds=120):
        """A job, when it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _, job = self.call("GET", f"/api/jobs/{id_}")
            if job["state"] not in ("waiting", "running"):
                return job
            time.sleep(0.05)
        raise AssertionError(f"{job} is not over")


class Studio:
    """A served studio."""

    def __init__(self, folder, models, password=None, upscaler="emoji-upscaler"):
        import uvicorn

        from lumiere.cli.batch import PROGRAM
        from lumiere.cli.studio import served
        from lumiere.io.bundle import resolve
        from lumiere.io.serving import listen
        from lumiere.studio.security import Guard
        from lumiere.studio.server import application
        from lumiere.studio.store import Store
        from lumiere.studio.worker import Worker

        self.listening = listen("127.0.0.1", 0)
        self.port = self.listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        models = dict(served(str(model)) for model in models)
        self.store = Store(folder)
        folders = {name: model.folder for name, model in models.items()}
        self.worker = Worker(self.store, PROGRAM, folders, resolve(upscaler), ["--device=cpu"])
        app = Guard(application(self.store, self.worker, models), self.port, password, frozenset())
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.listening]}, daemon=True
        )
        self.thread.start()

    def client(self):
        return Client(self.address)

    def close(self):
        self.server.should_exit = True
        self.thread.join(30)
        self.listening.close()
