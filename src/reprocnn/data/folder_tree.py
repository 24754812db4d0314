"""Build a tree of folders with images, and draw it for messages."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reprocnn.data.split_names import split_of

_MOST_DRAWN = 6


@dataclass
class Folder:
    """A folder that contains images, directly or in subfolders.

    Args:
        path: path from the top folder; empty for the top folder.
        files: names of the images directly in it.
        folders: name -> subfolder.
    """

    path: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """The class name of the folder, in one Unicode form: letters such as é have two that look the same."""
        return unicodedata.normalize("NFC", self.path[-1])

    def __str__(self) -> str:
        return "".join(f"{part}/" for part in self.path)

    def children(self) -> list["Folder"]:
        """The subfolders."""
        return list(self.folders.values())

    def below(self) -> Iterator["Folder"]:
        """Yield all folders below it."""
        for child in self.folders.values():
            yield child
            yield from child.below()

    def holders(self) -> list["Folder"]:
        """Yield the folders, it and those below, that contain images directly."""
        return [folder for folder in (self, *self.below()) if folder.files]

    def count(self) -> int:
        """The number of images in it and below."""
        return sum(len(folder.files) for folder in self.holders())

    def unwrapped(self) -> "Folder":
        """Return the folder below the wrappers, which are folders with a single subfolder and no images."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and not (only := folder.children()[0]).files:
            folder = only
        return folder

    def unwrapped_to_splits(self) -> "Folder":
        """Do the same, but stop at a split: `test` around classes stays, `test` around splits is a wrapper."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and (only := folder.children()[0]).folders:
            inner = [split_of(name) for name in only.folders]
            are_splits = all(kind for kind, _ in inner) and len({rest for _, rest in inner}) == 1
            if split_of(only.path[-1])[0] and not are_splits:
                break
            folder = only
        return folder

    def drawn(self, levels: int = 2, indent: str = "    ") -> str:
        """Draw the top levels, one line per folder with its number of images; wrappers share a line."""
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
    """Build the tree from the paths of the images, with slashes."""
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
