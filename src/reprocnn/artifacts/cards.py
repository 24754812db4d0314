"""Write and read cards: frozen dataclasses that are stored as JSON files."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reprocnn.artifacts.files import unexpected, write_json


@dataclass(frozen=True)
class Card:
    """Base class of the dataclasses stored as JSON. Unknown keys and values of a wrong type are errors."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


C = TypeVar("C", bound=Card)


def write_card(path: Path, card: Card) -> None:
    """Write a card as JSON. Its fields are the keys, in the order of the dataclass."""
    write_json(path, asdict(card))


def read_card(path: Path, kind: type[C], stage: str) -> C:
    """Read a card.

    Args:
        path: the file to read.
        kind: the class of the card.
        stage: the stage that writes the file; named in the error.

    Raises:
        UserError: the file is not valid JSON, or its keys or types don't match the class.
    """
    keys = ", ".join(field.name for field in fields(kind))
    return parse_card(path, path.read_bytes(), kind, f"the keys {keys}", stage)


def parse_card(path: Path, json: bytes, kind: type[C], expected: str, stage: str) -> C:
    """Parse a card from JSON.

    Args:
        path: the file that the JSON comes from; named in the error.
        json: an object with one key per field of the card.
        kind: the class of the card.
        expected: the expected content, for the error message.
        stage: the stage that writes the file; named in the error.

    Raises:
        UserError: a field is missing, unknown or of a wrong type.
    """
    try:
        return TypeAdapter(kind).validate_json(json)
    except ValidationError as error:
        raise unexpected(path, expected, _found(error.errors()[0]), stage) from None


def _found(error: Any) -> str:
    """Describe, from a pydantic error, what the file has instead of the expected content."""
    key = ".".join(map(str, error["loc"]))
    known = {
        "missing": f"no `{key}`",
        "missing_argument": f"no `{key}`",
        "unexpected_keyword_argument": f"also `{key}`",
        "json_invalid": "no JSON",
    }
    return known.get(error["type"]) or f"{error['input']!r}" + (f" for `{key}`" if key else "")
