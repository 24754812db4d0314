"""Folders and the images in them, as a tree that can be drawn."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reprocnn.data.split_names import split_of

_MOST_DRAWN = 6


@dataclass
class Folder:
    """A folder with images in it or below it.

    Args:
        path: from the top; empty for the top.
        files: names of the images in it.
        folders: by their name.
    """

    path: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Its name as a class: Unicode has two spellings of letters such as é, which look the same."""
        return unicodedata.normalize("NFC", self.path[-1])

    def __str__(self) -> str:
        return "".join(f"{part}/" for part in self.path)

    def children(self) -> list["Folder"]:
        """The folders in it."""
        return list(self.folders.values())

    def below(self) -> Iterator["Folder"]:
        """Every folder in it and below."""
        for child in self.folders.values():
            yield child
            yield from child.below()

    def holders(self) -> list["Folder"]:
        """The folders with images right in them: it and those below."""
        return [folder for folder in (self, *self.below()) if folder.files]

    def count(self) -> int:
        """How many images are in it and below."""
        return sum(len(folder.files) for folder in self.holders())

    def unwrapped(self) -> "Folder":
        """The folder below the wrappers: folders that hold nothing but one folder of folders."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and not (only := folder.children()[0]).files:
            folder = only
        return folder

    def unwrapped_to_splits(self) -> "Folder":
        """The same for the top, but not past a split: `test` around classes stays, `test` around splits goes."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and (only := folder.children()[0]).folders:
            inner = [split_of(name) for name in only.folders]
            are_splits = all(kind for kind, _ in inner) and len({rest for _, rest in inner}) == 1
            if split_of(only.path[-1])[0] and not are_splits:
                break
            folder = only
        return folder

    def drawn(self, levels: int = 2, indent: str = "    ") -> str:
        """Draw the top levels, a line a folder with its count, wrappers joined."""
        lines = []
        levels -= len(self.folders) > 1
        for child in self.children()[:_MOST_DRAWN]:
            inner = child.unwrapped()
            name = "".join(f"{part}/" for part in inner.path[len(self.path) :])
            lines.append(f"{indent}{name}  {inner.count()} image(s)")
            if levels and inner.folders:
                lines.append(inner.drawn(levels, indent + "  "))
        if (more := len(self.folders) - _MOST_DRAWN) > 0:
            lines.append(f"{indent}and {more} more folder(s)")
        if self.files:
            lines.append(f"{indent}{len(self.files)} image(s) in no folder: {some(self.files)}")
        return "\n".join(lines)


def tree_of(names: Iterable[str]) -> Folder:
    """Make the tree of images from their names with slashes."""
    top = Folder()
    for name in names:
        *folders, _ = name.split("/")
        place = top
        for part in folders:
            if part not in place.folders:
                place.folders[part] = Folder((*place.path, part))
            place = place.folders[part]
        place.files.append(name)
    return top


def some(names: list[str], most: int = 3) -> str:
    """Name the first few and count the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
