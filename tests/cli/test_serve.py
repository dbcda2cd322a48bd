"""What the options of `fenchel serve` set."""

from __future__ import annotations

from fenchel.cli.serve import serve_settings
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
