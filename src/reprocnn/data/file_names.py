"""Find the images that a table names, whether it writes their folders and suffixes or not."""

from collections.abc import Sequence

from reprocnn.data.layout import composed


class FileNames:
    """An index of the names of images.

    Args:
        images: the paths of the images, with `/` as separator.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self._images = [composed(image) for image in images]
        self._by_name: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        for number, image in enumerate(self._images):
            name = image.rpartition("/")[2].casefold()
            self._by_name.setdefault(name, []).append(number)
            self._by_stem.setdefault(_stem(name), []).append(number)

    def has_suffix(self, value: str) -> bool:
        """Return whether a value ends in the complete name of an image."""
        return _parts(value)[-1].casefold() in self._by_name

    def find(self, value: str, folder: str) -> list[int]:
        """Return the images that a value may name; more than one if it is ambiguous.

        Args:
            value: the name of a file, with or without suffix; the folders before it may lack some of those at the top,
                or have more of them, as an absolute path has. `\\` is read as `/`, and case doesn't matter.
            folder: the folder in which the table is. A path from there takes precedence.

        Returns:
            Numbers of images, from 0.
        """
        *folders, name = _parts(value)
        found = self._by_name.get(name.casefold()) or self._by_stem.get(name.casefold(), [])
        found = [number for number in found if _agree(folders, self._images[number].split("/")[:-1])]
        if len(found) > 1:
            start = folder.split("/") if folder else []
            path = "/".join([*start, *folders, name])
            exact = [number for number in found if path in (self._images[number], _stem(self._images[number]))]
            same_case = [number for number in found if self._images[number].rpartition("/")[2] == name]
            found = next((few for few in (exact, same_case) if len(few) == 1), found)
        return found


def _stem(name: str) -> str:
    """Remove the suffix."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and "/" not in suffix else name


def _parts(value: str) -> list[str]:
    """Split a path at `/` and `\\`."""
    return [part for part in composed(value).replace("\\", "/").split("/") if part not in ("", ".")] or [""]


def _agree(folders: list[str], others: list[str]) -> bool:
    """Return whether one of two paths of folders ends with the other."""
    n = min(len(folders), len(others))
    return not n or [part.casefold() for part in folders[-n:]] == [part.casefold() for part in others[-n:]]
