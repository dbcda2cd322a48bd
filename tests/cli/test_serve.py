"""What the options of `fenchel serve` set."""

from __future__ import annotations

import subprocess
import sys

from fenchel.cli.serve import FILES_WANTED, serve_settings
from fenchel.runtime import Settings


def test_without_production_everything_is_as_it_is_for_developers() -> None:
    assert serve_settings(is_production=False, allows_private_addresses=False) == Settings()


def test_production_hides_errors_and_private_addresses() -> None:
    settings = serve_settings(is_production=True, allows_private_addresses=False)
    assert settings.application.redact_errors
    assert not settings.egress.private_addresses_allowed


def test_private_addresses_can_be_allowed_in_production() -> None:
    settings = serve_settings(is_production=True, allows_private_addresses=True)
    assert settings.egress.private_addresses_allowed


def test_the_limit_of_open_files_is_raised_as_far_as_needed() -> None:
    """Each case in a fork, for limits cannot be raised again; of one process, for it imports all
    that serves.
    """
    program = f"""
import os, resource
from fenchel.cli.serve import raise_file_limit
kind = resource.RLIMIT_NOFILE
for soft, hard, expected in (
    (256, 4_096, 4_096), (256, {FILES_WANTED + 1}, {FILES_WANTED}), (4_096, 4_096, 4_096)
):
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
    else:
        hard = min(hard, resource.getrlimit(kind)[1])
        resource.setrlimit(kind, (soft, hard))
        raise_file_limit()
        assert resource.getrlimit(kind) == (min(expected, hard), hard)
        os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_warm_realms_are_an_option() -> None:
    settings = serve_settings(
        is_production=False, allows_private_addresses=False, warm_realms_max=3
    )
    assert settings.isolate.warm_realms_max == 3
