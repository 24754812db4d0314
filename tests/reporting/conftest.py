"""Fixtures that choose which font packages a test sees."""

from collections.abc import Callable, Iterator

import pytest

from reprocnn.reporting import fonts


@pytest.fixture
def use_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes only the given font packages visible."""

    def use(*packages: str) -> None:
        monkeypatch.setattr(fonts, "_PACKAGES", packages)
        fonts._noto.cache_clear()

    yield use
    fonts._noto.cache_clear()


@pytest.fixture
def without_packages(use_packages: Callable[..., None]) -> None:
    """Hides the font packages, as if only `make setup` had been run."""
    use_packages("reprocnn_has_no_such_package")
