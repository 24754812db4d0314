"""List the files that can't be read as images, in one error with the causes and their fixes."""

from pathlib import Path

from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError

MAX_COLLECTED = 1000
"""Stop looking for more unreadable files after this many."""
_MAX_NAMED = 20
"""Names that the error lists, over all causes; of each cause at least 3."""


class UnreadableFiles:
    """The files of a directory or archive that can't be read as images, grouped by cause.

    Args:
        source: the directory or archive, for the messages.
        total: the number of images in it.
        note: the end of the first line of the error.
        instead: what to do instead of the fixes; empty if there is nothing else.
    """

    def __init__(self, source: Path, total: int, note: str, instead: str) -> None:
        self._source, self._total, self._note, self._instead, self._count = source, total, note, instead, 0
        self._by_cause: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, error: UnreadableError) -> None:
        """Add a file."""
        detail = f": {error.detail}" if error.detail else ""
        self._by_cause.setdefault((error.cause, error.fix), []).append(name + detail)
        self._count += 1

    def error(self) -> UserError:
        """Return one error for all files, with the first names and the fix for each cause."""
        limit = max(3, _MAX_NAMED // len(self._by_cause))
        or_more = " or more" if self._count >= MAX_COLLECTED else ""
        lines, fix = [f"{self._source}: {self._count}{or_more} of {self._total} images can't be read{self._note}"], ""
        for (cause, next_fix), names in self._by_cause.items():
            lines += [f"  fix: {fix}"] * bool(fix) + [f"  {cause} ({len(names)}):"]
            lines += [f"    {name}" for name in names[:limit]]
            lines += [f"    and {len(names) - limit} more"] * (len(names) > limit)
            fix = next_fix  # UserError appends the last fix itself
        return UserError("\n".join(lines), f"{fix}; {self._instead}" if self._instead else fix)
