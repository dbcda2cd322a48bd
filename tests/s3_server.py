"""A real S3-compatible store for the tests: SeaweedFS, from the binary of a locked package.

It runs in a folder of its own on loopback, with one bucket and one pair of keys.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.end_to_end.fenchel_server import clean_environment, end_group, free_port

ACCESS_KEY = "AKFENCHEL"
SECRET_KEY = "a-secret-key"
BUCKET = "fenchel-test"
START_SECONDS_MAX = 120.0

_WEED = Path(sys.executable).with_name("weed")
_SERVICES = ("master", "volume", "filer", "s3")


class S3Server:
    """`endpoint` answers once `start` has returned."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fenchel-s3-"))
        self._ports = {name: free_port() for name in _SERVICES}
        self._grpc_ports = {name: free_port() for name in _SERVICES}
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs besides the address."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def address(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}?endpoint={self.endpoint}"

    def start(self) -> None:
        """Starts the store and makes the bucket."""
        config = self._folder / "s3.json"
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identity = {"name": "test", "credentials": credentials, "actions": ["Admin"]}
        config.write_text(json.dumps({"identities": [identity]}))
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        ports += [f"-{name}.port.grpc={port}" for name, port in self._grpc_ports.items()]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(_WEED, "server", "-s3", f"-dir={self._folder}", f"-s3.config={config}"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=64"),
                    *("-master.volumeSizeLimitMB=64", *ports),
                    # Not used, and at ports that another run on this machine may have.
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(),
                start_new_session=True,
            )
        filer = f"http://127.0.0.1:{self._ports['filer']}"
        self._wait_for(self.endpoint, method="GET", is_refusal_fine=True)
        # A folder of the file service is a bucket of S3.
        self._wait_for(f"{filer}/buckets/{BUCKET}/", method="POST")

    def remove(self) -> None:
        if self._process is not None:
            end_group(self._process)
        shutil.rmtree(self._folder)

    def _wait_for(self, url: str, *, method: str, is_refusal_fine: bool = False) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        assert self._process is not None
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log()
            try:
                with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5):
                    return
            except urllib.error.HTTPError as error:
                error.close()
                if is_refusal_fine:
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"no answer within {START_SECONDS_MAX} s:\n{self._log()}")

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")
