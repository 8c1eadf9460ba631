"""A learner made of requests: logs in to a hub as a browser does, opens a notebook, runs, saves."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import requests
import websocket

NO_SERVER = 424    # how the hub answers for somebody whose server does not run
PATIENCE = 600    # seconds for a server to start or a cell to run, when many ask at once


class Refused(RuntimeError):
    """What the hub or a server did not do."""


class Learner:
    """Somebody with a name and a browser's memory, at a hub."""

    def __init__(self, hub: str, name: str, password: str):
        self.hub, self.name, self.password = hub.rstrip("/"), name, password
        self.own = f"{self.hub}/user/{name}"
        self.web = requests.Session()
        self.web.trust_env = False    # no proxy of this machine between us and the hub
        self.kernel = self.session = ""
        self.socket: websocket.WebSocket | None = None

    def token(self, path: str) -> str:
        """Return the value that a form or a request has to repeat, for a path of the hub."""
        found = [c for c in self.web.cookies if c.name == "_xsrf" and path.startswith(c.path)]
        return max(found, key=lambda cookie: len(cookie.path)).value if found else ""

    def log_in(self) -> None:
        """Fill in the form of the hub. Raises Refused where name or password are not accepted."""
        self.web.get(f"{self.hub}/hub/login", timeout=PATIENCE)
        form = {"username": self.name, "password": self.password, "_xsrf": self.token("/hub/")}
        answer = self.web.post(f"{self.hub}/hub/login", data=form, timeout=PATIENCE,
                               allow_redirects=False)
        if answer.status_code != 302:
            raise Refused(f"{self.name} cannot log in: {answer.status_code}")

    def start(self) -> None:
        """Press the button that starts a server, and reload the page until it is there.

        Raises Refused where it does not start in time.
        """
        begin = pressed = time.monotonic()
        self.web.get(f"{self.hub}/hub/spawn/{self.name}", timeout=PATIENCE)
        while True:
            answer = self.web.get(f"{self.own}/lab", timeout=PATIENCE)
            here = urlsplit(answer.url).path.startswith(f"/user/{self.name}/")
            if answer.status_code == 200 and here:
                return
            now = time.monotonic()
            if now - begin > PATIENCE:
                raise Refused(f"no server for {self.name}: {answer.status_code} {answer.url}")
            dead = here or answer.status_code == NO_SERVER    # noticed by the hub only now
            if dead and now - pressed > 5:
                self.web.get(f"{self.hub}/hub/spawn/{self.name}", timeout=PATIENCE)
                pressed = now
            time.sleep(1)

    def ask(self, method: str, path: str, /, **body: Any) -> Any:
        """Ask the learner's server; return its answer. Raises Refused where it says no."""
        answer = self.web.request(
            method, f"{self.own}/api/{path}", json=body or None, timeout=PATIENCE,
            headers={"X-XSRFToken": self.token(f"/user/{self.name}/")},
        )
        if not answer.ok:
            raise Refused(f"{self.name}: {method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.json() if answer.content else None

    def open_notebook(self, path: str) -> dict[str, Any]:
        """Open a notebook with a kernel of its own; return what the file holds."""
        notebook = self.ask("GET", f"contents/{path}?content=1")["content"]
        session = self.ask("POST", "sessions", path=path, name=path, type="notebook",
                           kernel={"name": "python3"})
        self.kernel, self.session = session["kernel"]["id"], uuid.uuid4().hex
        self.connect()
        return notebook

    def leave(self) -> None:
        """Close the browser."""
        if self.socket is not None:
            self.socket.close(timeout=1)
            self.socket = None
        self.web.close()

    def connect(self) -> None:
        """Listen to the kernel."""
        if self.socket is not None:
            self.socket.close(timeout=1)
        jar = self.web.cookies
        cookies = "; ".join(f"{c.name}={c.value}" for c in jar if c.path != "/hub/")
        address = f"{self.own}/api/kernels/{self.kernel}/channels?session_id={self.session}"
        self.socket = websocket.create_connection(
            address.replace("http", "ws", 1), cookie=cookies, origin=self.hub, timeout=PATIENCE,
            http_no_proxy=["127.0.0.1", "localhost"],
        )

    def save(self, path: str, notebook: dict[str, Any]) -> None:
        """Save a notebook as JupyterLab does."""
        self.ask("PUT", f"contents/{path}", type="notebook", format="json", content=notebook)

    def run(self, source: str) -> list[dict[str, Any]]:
        """Run code; return its outputs. Raises Refused where the kernel dies or says nothing."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": self.name,
                  "session": self.session, "date": "", "version": "5.3"}
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": False}
        self.socket.send(json.dumps({
            "channel": "shell", "header": header, "parent_header": {}, "metadata": {},
            "content": content,
        }))
        outputs: list[dict[str, Any]] = []
        idle = replied = False
        while not (idle and replied):    # the answer may come before the outputs
            try:
                message = json.loads(self.socket.recv())
            except (websocket.WebSocketException, OSError, ValueError) as error:
                raise Refused(f"{self.name}: the kernel does not answer: {error!r}") from error
            kind, said = message["msg_type"], message["content"]
            if kind == "status" and said["execution_state"] in ("restarting", "dead"):
                raise Refused(f"{self.name}: the kernel has died")
            if message["parent_header"].get("msg_id") != number:
                continue
            idle |= kind == "status" and said["execution_state"] == "idle"
            replied |= kind == "execute_reply"
            if kind in ("stream", "error", "display_data", "execute_result"):
                outputs.append({"output_type": kind, **{k: v for k, v in said.items()
                                                        if k != "transient"}})
        return outputs

    def run_all(self, notebook: dict[str, Any]) -> list[str]:
        """Run all cells and write the outputs into the notebook; return the errors, in words.

        An error that the notebook expects is none.
        """
        errors, count = [], 0
        for cell in notebook["cells"]:
            if cell["cell_type"] != "code":
                continue
            count += 1
            cell["outputs"], cell["execution_count"] = self.run("".join(cell["source"])), count
            if "raises-exception" not in cell["metadata"].get("tags", ()):
                errors += [f"{self.name}, cell {cell['id']}: {o['ename']}: {o['evalue']}"
                           for o in cell["outputs"] if o["output_type"] == "error"]
        return errors
