"""Lessons in a real JupyterLab in a real browser, seen and used as a person does.

A copy of the course is opened, so nothing that is done here changes it. Chromium has no window.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.files import course_files
from tools.notebooks import ROOT, WIDGET
from tools.servers import free_port, stop, wait_for

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-color-profile=srgb",
)
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
A_BADGE = '<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"><rect width="117" \
height="20" rx="3" fill="#555"/><text x="8" y="14" fill="#fff" font-size="11">Open in Colab</text>\
</svg>'
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden)"    # the notebook on top, where several are open
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SETTLED = 0.5    # so many seconds nothing runs before a run counts as over
# where cells have not run: after an expected error JupyterLab says through whole cells that the
# kernel is idle and nothing waits
DOUBTFUL = 10.0

# What JupyterLab holds of the notebook on show, and what of it is seen.
STATE = r"""() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  if (!panel || !panel.content || !panel.content.widgets || !panel.sessionContext) return null;
  const seen = node => !!node && node.offsetParent !== null && node.clientHeight > 0;
  const kernel = panel.sessionContext.session && panel.sessionContext.session.kernel;
  return {
    kernel: kernel && kernel.connectionStatus === 'connected' ? kernel.status : null,
    cells: panel.content.widgets.map(cell => {
      const held = cell.model.toJSON(), code = held.cell_type === 'code';
      const pictures = [...cell.node.querySelectorAll('.jp-OutputArea-output img')];
      const prompt = cell.node.querySelector('.jp-InputArea .jp-InputPrompt');
      return {
        id: held.id, code, metadata: held.metadata, count: code ? held.execution_count : null,
        empty: cell.model.sharedModel.getSource().trim() === '',
        waiting: (prompt ? prompt.textContent : '').includes('*')
                 || cell.model.executionState === 'running',
        open: seen(cell.node.querySelector('.jp-InputArea-editor')),
        pictures: pictures.map(i => ({drawn: i.complete && i.naturalWidth > 0, alt: i.alt})),
        outputs: held.outputs || [],
      };
    }),
  };
}"""


def chromium() -> str | None:
    """Return where Chromium is, None where it is not installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def why_not() -> str | None:
    """Say why no browser can be used here; None where one can."""
    if chromium() is None:
        return "Chromium is not installed (on Debian: apt-get install chromium)"
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install -r requirements-room.txt"
    return None


def copy_course(folder: Path) -> Path:
    """Copy the files of the course into a folder and return it."""
    for name in course_files(new_ones=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def choose(settings: Path, theme: str) -> None:
    """Write a theme into a folder of JupyterLab's settings, as a reader chooses it in a menu.

    Releases of JupyterLab that hold only the cells on the screen are told to hold all.
    """
    from jupyterlab.commands import get_app_dir

    tracker = "@jupyterlab/notebook-extension/tracker"
    chosen = {"@jupyterlab/apputils-extension/themes": {"theme": THEMES[theme]}}
    if "contentVisibility" not in Path(get_app_dir(), f"schemas/{tracker}.json").read_text("utf-8"):
        chosen[tracker] = {"windowingMode": "none"}
    for name, values in chosen.items():
        place = settings / f"{name}.jupyterlab-settings"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(values), encoding="utf-8")


def surroundings(home: Path) -> dict[str, str]:
    """Return an environment in which JupyterLab finds no settings but those in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    return kept | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


@contextmanager
def lab(course: Path, notebook: str, theme: str = "light") -> Iterator[str]:
    """Start JupyterLab as `make lab` does, in a copy of the course; yield its address."""
    port, token = free_port(), uuid.uuid4().hex
    call = [
        sys.executable, "-m", "tools.lab", notebook, "--no-browser", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        "--expose-app-in-browser", "--ServerApp.terminals_enabled=False", "--allow-root",
    ]
    with TemporaryDirectory(prefix="reader-", ignore_cleanup_errors=True) as folder:
        home, address = Path(folder), f"http://127.0.0.1:{port}"
        choose(home / "settings", theme)
        log = home / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                call, cwd=course, env=surroundings(home), stdout=file, stderr=file,
                start_new_session=True,
            )
        try:
            wait_for(f"{address}/api/status?token={token}", process, log, 300)
            yield f"{address}/?token={token}"
        finally:
            stop(process)


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium; yield Playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))


class Reader:
    """Somebody who has a notebook open in JupyterLab: `page` is Playwright's.

    complaints: what a person would stumble over and what asked another machine, in order
    """

    def __init__(self, browser: Any, width: int = 1400, height: int = 900):
        self.page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.folded: set[str] = set()    # cells that nobody has unfolded yet
        self.page.route(
            BADGE, lambda route: route.fulfill(body=A_BADGE, content_type="image/svg+xml")
        )
        self.page.on("request", self._asks)
        self.page.on("pageerror", lambda error: self.complaints.append(f"the page: {error}"))
        self.page.on("console", self._console)

    def _asks(self, request: Any) -> None:
        here = request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
        if not here and request.url != BADGE:
            self.complaints.append(f"asks another machine: {request.url}")

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"the console: {message.text[:300]}")

    def go_to(self, address: str) -> None:
        """Open the address of a JupyterLab and wait until its notebook has a kernel."""
        self.page.goto(address, wait_until="domcontentloaded")
        self.page.locator(f"{SHOWN} .jp-Notebook").wait_for()
        self.page.wait_for_function(f"() => (({STATE})() || {{}}).kernel === 'idle'")
        self.page.evaluate("() => window.jupyterapp.restored")
        cells = self.state()["cells"]
        self.folded = {c["id"] for c in cells if c["metadata"].get("jupyter", {}).get(
            "source_hidden", False)}
        self.drawn()

    def drawn(self, seconds: float = 20) -> None:
        """Wait until all pictures are drawn, which JupyterLab does when it finds time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(map(undrawn, self.state()["cells"])):
            time.sleep(0.1)

    def state(self) -> dict[str, Any]:
        """Return what JupyterLab holds of the notebook."""
        return self.page.evaluate(STATE)

    def cell(self, id: str) -> Any:
        """Scroll to a cell, by its id in the file, and return it."""
        number = [cell["id"] for cell in self.state()["cells"]].index(id)
        self.page.evaluate(
            """([number, id]) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.scrollToItem(number, 'center');
              notebook.widgets[number].node.dataset.cell = id;
            }""", [number, id]
        )
        cell = self.page.locator(f'{SHOWN} .jp-Cell[data-cell="{id}"]')
        cell.wait_for()
        return cell

    def contents(self) -> list[str]:
        """Return the headings that the table of contents shows, none where it is hidden."""
        entries = self.page.locator(".jp-TableOfContents .jp-tocItem-content")
        return [text.strip() for text in entries.all_inner_texts() if text.strip()]

    def wait(self, started: Callable[[list[dict[str, Any]]], bool], seconds: float) -> None:
        """Wait until cells have begun to run and then none runs any more.

        started: told the cells, whether what was asked for has begun. Raises TimeoutError.
        """
        end, begun, quiet = time.monotonic() + seconds, False, None
        while True:
            now, state = time.monotonic(), self.state()
            runs = state["kernel"] != "idle" or any(c["waiting"] for c in state["cells"])
            begun = begun or started(state["cells"])
            quiet = None if runs or not begun else (quiet or now)
            over = all(c["count"] is not None or c["empty"] for c in state["cells"] if c["code"])
            if quiet and now - quiet >= (SETTLED if over else DOUBTFUL):
                return
            if now > end:
                waiting = [c["id"] for c in state["cells"] if c["waiting"]]
                raise TimeoutError(f"after {seconds:g} s still {state['kernel']}, waiting: "
                                   f"{', '.join(waiting[:5]) or 'nothing'}")
            time.sleep(0.1)

    def run_all(self, seconds: float = 300) -> None:
        """Choose Run > Run All Cells and wait for the end.

        A menu that is chosen while JupyterLab is busy with itself may do nothing: then it is
        chosen again. Raises TimeoutError where no cell begins.
        """
        for _ in range(3):
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
            if self.begins():
                return self.wait(lambda cells: True, seconds)
        raise TimeoutError("Run All Cells was chosen three times, and no cell began to run")

    def begins(self, seconds: float = 15) -> bool:
        """Tell whether a cell begins to run within so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(cell["waiting"] for cell in self.state()["cells"]):
                return True
            time.sleep(0.05)
        return False

    def write(self, id: str, source: str, seconds: float = 60) -> str:
        """Replace what stands in a cell, run it, and return what it says."""
        before = next(c["count"] for c in self.state()["cells"] if c["id"] == id)
        editor = self.cell(id).locator(".cm-content").first
        editor.click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")

        def changed(cells: list[dict[str, Any]]) -> bool:
            return next(c["count"] for c in cells if c["id"] == id) != before

        self.wait(changed, seconds)
        return self.said(id)

    def said(self, id: str) -> str:
        """Return the words in the outputs of a cell, as they are seen."""
        words = self.cell(id).locator(".jp-OutputArea-output")
        words.first.wait_for()
        return "\n".join(words.all_inner_texts())

    def unfold(self, id: str) -> str:
        """Click on a folded cell and return the code that is seen then."""
        self.folded.remove(id)
        self.cell(id).locator(".jp-InputPlaceholder").click()
        return self.cell(id).locator(".cm-content").first.inner_text()

    def faults(self) -> list[str]:
        """Return what a person would stumble over now, beside the complaints so far."""
        self.drawn()
        found = list(self.complaints)
        for cell in self.state()["cells"]:
            if cell["id"] in self.folded and cell["open"]:
                found.append(f"{cell['id']}: should be folded, and its code is seen")
            found += [f"{cell['id']}: {fault}" for fault in faults_of(cell)]
        for text in self.page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts():
            found.append(f"a box lies over the page: {' '.join(text.split())}")
        return found


def described(cell: dict[str, Any]) -> list[str]:
    """Return the description of each picture that a cell has, empty where there is none."""
    outputs = [o for o in cell["outputs"] if "image/png" in o.get("data", {})]
    return [output.get("metadata", {}).get("image/png", {}).get("alt", "")
            for output in outputs if WIDGET not in output["data"]]


def undrawn(cell: dict[str, Any]) -> bool:
    """Tell whether a cell has a picture that is not on the page yet."""
    seen = cell["pictures"]
    return len(seen) < len(described(cell)) or not all(picture["drawn"] for picture in seen)


def faults_of(cell: dict[str, Any]) -> list[str]:
    """Return what is wrong with one cell as JupyterLab shows it."""
    metadata, found = cell["metadata"], []
    expected = "raises-exception" in metadata.get("tags", ())
    if cell["code"] and not cell["empty"] and cell["count"] is None:
        found.append("has not run")
    for output in cell["outputs"]:
        if output["output_type"] == "error" and not expected:
            found.append(f"ends with {output['ename']}: {output['evalue']}")
        if output.get("name") == "stderr":
            words = "".join(output["text"])
            found.append(f"writes on stderr: {words.strip()[:200]}")
    if "" in described(cell):
        found.append("shows a picture without a description")
    if undrawn(cell):
        found.append("has a picture that is not drawn")
    return found
