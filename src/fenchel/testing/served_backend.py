"""A backend in test mode for tests that are not asynchronous: `fenchel serve` in its own process.

Rejected: a thread of the test's process. The PyPI client keeps the interpreter while it waits, so
that the backend could never answer it.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer

import msgspec

from fenchel.errors import ErrorKind, FenchelError

_START_SECONDS_MAX = 60.0
_CALL_SECONDS_MAX = 90.0
_STOP_SECONDS_MAX = 30.0
_COMMAND = (
    *(sys.executable, "-m", "fenchel.cli", "serve", "--test-mode", "--in-memory"),
    *("--port", "0", "--site-port", "0"),
)
_URL = "CONVEX_SELF_HOSTED_URL"
_ADMIN_KEY = "CONVEX_SELF_HOSTED_ADMIN_KEY"


class _ErrorBody(msgspec.Struct):
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBackend:
    """`environment` is what the official CLI needs to find it."""

    url: str
    admin_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {_URL: self.url, _ADMIN_KEY: self.admin_key}

    def advance_clock(self, seconds: float) -> None:
        """Put the clock forward and return when everything that fell due has run.

        Raises: FenchelError, ClockNotSettled among them.
        """
        self._post("/_test/clock", {"advanceMs": round(seconds * 1_000)})

    def reset(self) -> None:
        """Forget all data; code, schema and indexes stay."""
        self._post("/_test/reset", {})

    def _post(self, path: str, body: dict[str, int]) -> None:
        headers = {
            "Authorization": f"Convex {self.admin_key}",
            "Content-Type": "application/json",
        }
        data = msgspec.json.encode(body)
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_CALL_SECONDS_MAX):
                return
        except urllib.error.HTTPError as error:
            answer = msgspec.json.decode(error.read(), type=_ErrorBody)
            raise FenchelError(ErrorKind.BAD_REQUEST, answer.code, answer.message) from error


@contextmanager
def served_backend() -> Iterator[ServedBackend]:
    """In memory, on free ports of the loopback interface; stopped in order at the end.

    Raises: RuntimeError if it does not start; its own words are on the error output.
    """
    with subprocess.Popen(
        _COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[str]) -> ServedBackend:
    """Read the welcome, whose last lines say how to connect."""
    deadline = Timer(_START_SECONDS_MAX, process.kill)
    deadline.start()
    try:
        assert process.stdout is not None
        found: dict[str, str] = {}
        for line in process.stdout:
            name, _, value = line.strip().partition("=")
            found[name] = value.strip("'")
            if _ADMIN_KEY in found:
                return ServedBackend(url=found[_URL], admin_key=found[_ADMIN_KEY])
    finally:
        deadline.cancel()
    raise RuntimeError("the backend did not start")
