"""Cards: frozen dataclasses that are kept as JSON files."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reprocnn.artifacts.files import unexpected, write_json


@dataclass(frozen=True)
class Card:
    """The base of what is kept as JSON; a reader refuses other keys and other types."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


C = TypeVar("C", bound=Card)


def write_card(path: Path, card: Card) -> None:
    """Write a card: its fields are the keys, in their order."""
    write_json(path, asdict(card))


def read_card(path: Path, kind: type[C], stage: str) -> C:
    """Read a card.

    Args:
        path: the file.
        kind: what it holds.
        stage: that writes the file; named in the error.

    Raises:
        UserError: the file is not what `write_card` writes for this kind.
    """
    keys = ", ".join(field.name for field in fields(kind))
    return parsed(path, path.read_bytes(), kind, f"the keys {keys}", stage)


def parsed(path: Path, json: bytes, kind: type[C], expected: str, stage: str) -> C:
    """Make a card of JSON.

    Args:
        path: where it is from.
        json: the fields by their names.
        kind: of the card.
        expected: what an error says that the file should have.
        stage: that writes the file; named in the error.

    Raises:
        UserError: a field is missing or has another type, or there are others.
    """
    try:
        return TypeAdapter(kind).validate_json(json)
    except ValidationError as error:
        raise unexpected(path, expected, _found(error.errors()[0]), stage) from None


def _found(error: Any) -> str:
    """What a file has instead, from the first error of pydantic's."""
    key = ".".join(map(str, error["loc"]))
    known = {
        "missing": f"no `{key}`",
        "missing_argument": f"no `{key}`",
        "unexpected_keyword_argument": f"also `{key}`",
        "json_invalid": "no JSON",
    }
    return known.get(error["type"]) or f"{error['input']!r}" + (f" for `{key}`" if key else "")
