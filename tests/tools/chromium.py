"""Debian's chromium without a window, steered through a pair of pipes by its DevTools protocol.

No driver program and no port: with `--remote-debugging-pipe` it reads and writes JSON on descriptors 3 and 4,
each message ended by a NUL.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

LIMIT_S = 30.0
FLAGS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)


class Chromium:
    """A browser with one tab.

    Attributes:
        events: what the tab told unasked, as (method, parameters), in order.
    """

    def __init__(self) -> None:
        """Start it, with a profile that ends with it."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._numbers = itertools.count(1)
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._rest = b""
        flags = (*FLAGS, f"--user-data-dir={self._profile}", "--remote-debugging-pipe", "about:blank")
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *flags],
            pass_fds=[theirs_in, theirs_out],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it misses a bus, a keyring and a display
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        tab = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(LIMIT_S)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)  # its helpers may still write there

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + LIMIT_S
        while True:
            answer = self._receive(until)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        seen = len(self.events)
        self.send("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired", seen)

    def wait_for(self, method: str, since: int = 0) -> None:
        """Wait for an event that came after so many others."""
        until = time.monotonic() + LIMIT_S
        while not any(name == method for name, _ in self.events[since:]):
            self._receive(until)

    def ask(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for an expression to become true."""
        end = time.monotonic() + LIMIT_S
        while not self.ask(expression):
            assert time.monotonic() < end, f"did not come to pass: {expression}"
            time.sleep(0.02)

    def point(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """Scroll an element into view and return a place in it, as shares of its width and height."""
        x, y, width, height = self.ask(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            "return [box.x, box.y, box.width, box.height]; })()"
        )
        return x + across * width, y + down * height

    def mouse(self, kind: str, place: tuple[float, float], **more: Any) -> None:
        """Let the mouse do something: mouseMoved, mousePressed or mouseReleased."""
        self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)

    def click(self, selector: str) -> None:
        """Click into the middle of an element."""
        place = self.point(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, place, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key by its name, such as Enter or ArrowDown."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        more = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, 0)}
        more |= {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **more)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def resize(self, width: int, height: int, *, scale: float = 1, mobile: bool = False) -> None:
        """Show pages on a screen of another size, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as a PNG file."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console, and exceptions, of all pages so far."""
        said = []
        for method, told in self.events:
            if method == "Runtime.exceptionThrown":
                said.append(json.dumps(told["exceptionDetails"]))
            elif method == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
                said.append(json.dumps(told["entry"]))
            elif method == "Runtime.consoleAPICalled" and told["type"] in ("warning", "error", "assert"):
                said.append(json.dumps(told["args"]))
        return said

    def requests(self) -> list[str]:
        """Return every URL that was asked for so far, those inside a page (data:) included."""
        return [
            told["request"]["url"] for method, told in self.events if method == "Network.requestWillBeSent"
        ]

    def _receive(self, until: float) -> dict[str, Any]:
        """Return the next message; what was told unasked is kept as well."""
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0], (
                "chromium is silent"
            )
            data = os.read(self._in, 1 << 16)
            assert data, "chromium ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append((message["method"], message.get("params", {})))
        return message
