"""An official CLI command that goes on until it is ended: `dev`, `logs`, `run --watch`."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.end_to_end.fenchel_server import NODE, ConvexApp, clean_environment, end_group

OUTPUT_SECONDS_MAX = 180.0


class WatchingCli:
    """`output` is everything that was printed so far; `until` looks at what is new."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.output = ""
        self._seen = 0
        self._process = process
        self._descriptor = process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)

    def until(self, text: str) -> str:
        """What was printed since the last call, up to and including `text`."""
        deadline = time.monotonic() + OUTPUT_SECONDS_MAX
        while (place := self.output.find(text, self._seen)) < 0:
            rest = deadline - time.monotonic()
            assert rest > 0, f"{text!r} did not come:\n{self.output}"
            if self._selector.select(rest):
                data = os.read(self._descriptor, 65_536)
                assert data, f"the command ended before {text!r}:\n{self.output}"
                self.output += data.decode(errors="replace")
        end = place + len(text)
        new, self._seen = self.output[self._seen : end], end
        return new

    def close(self) -> None:
        self._selector.close()
        self._process.kill()
        end_group(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def watching(app: ConvexApp, *arguments: str) -> Iterator[WatchingCli]:
    """The command, running in a group of its own that ends with the block."""
    environment = {
        "CI": "1",
        "CONVEX_SELF_HOSTED_URL": app.url,
        "CONVEX_SELF_HOSTED_ADMIN_KEY": app.admin_key,
    }
    process = subprocess.Popen(
        [NODE, app.folder / "node_modules/convex/bin/main.js", *arguments],
        cwd=app.folder,
        env=clean_environment() | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    cli = WatchingCli(process)
    try:
        yield cli
    finally:
        cli.close()
