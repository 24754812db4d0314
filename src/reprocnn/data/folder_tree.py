"""A tree of folders and the images in them."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reprocnn.data.split_names import split_of

_MAX_DRAWN = 6


@dataclass
class Folder:
    """A folder with images in it or in its subfolders.

    Args:
        path: the folder names from the root of the tree to this folder; empty for the root.
        files: the images directly in this folder, as paths from the root.
        folders: name -> subfolder.
    """

    path: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """The folder name in Unicode's composed form, so that both encodings of `é` are the same class."""
        return unicodedata.normalize("NFC", self.path[-1])

    def __str__(self) -> str:
        return "".join(f"{part}/" for part in self.path)

    def children(self) -> list["Folder"]:
        """Return the subfolders."""
        return list(self.folders.values())

    def descendants(self) -> Iterator["Folder"]:
        """Yield the subfolders at every depth."""
        for child in self.folders.values():
            yield child
            yield from child.descendants()

    def image_folders(self) -> list["Folder"]:
        """Return the folders that directly contain images, among this folder and its subfolders at every depth."""
        return [folder for folder in (self, *self.descendants()) if folder.files]

    def count_images(self) -> int:
        """Count the images in this folder and its subfolders at every depth."""
        return sum(len(folder.files) for folder in self.image_folders())

    def unwrap(self) -> "Folder":
        """Return the folder inside the wrappers. A wrapper contains nothing but one folder of folders."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and not (only := folder.children()[0]).files:
            folder = only
        return folder

    def unwrap_to_splits(self) -> "Folder":
        """Unwrap, but keep a split: `train` around class folders is a split, `train` around splits is a wrapper."""
        folder = self
        while not folder.files and len(folder.folders) == 1 and (only := folder.children()[0]).folders:
            inner = [split_of(name) for name in only.folders]
            contains_splits = all(split for split, _ in inner) and len({words for _, words in inner}) == 1
            if split_of(only.path[-1])[0] and not contains_splits:
                break
            folder = only
        return folder

    def draw(self, levels: int = 2, indent: str = "    ") -> str:
        """Draw the top levels as text: one line per folder with its number of images; wrappers share a line."""
        lines = []
        levels -= len(self.folders) > 1
        for child in self.children()[:_MAX_DRAWN]:
            inner = child.unwrap()
            name = "".join(f"{part}/" for part in inner.path[len(self.path) :])
            lines.append(f"{indent}{name}  {inner.count_images()} image(s)")
            if levels and inner.folders:
                lines.append(inner.draw(levels, indent + "  "))
        if (more := len(self.folders) - _MAX_DRAWN) > 0:
            lines.append(f"{indent}and {more} more folder(s)")
        if self.files:
            lines.append(f"{indent}{len(self.files)} image(s) outside a folder: {first_few(self.files)}")
        return "\n".join(lines)


def build_tree(names: Iterable[str]) -> Folder:
    """Build the tree of folders from the paths of images, with `/` as separator."""
    root = Folder()
    for name in names:
        *parts, _ = name.split("/")
        folder = root
        for part in parts:
            if part not in folder.folders:
                folder.folders[part] = Folder((*folder.path, part))
            folder = folder.folders[part]
        folder.files.append(name)
    return root


def first_few(names: list[str], limit: int = 3) -> str:
    """List the first names, followed by the number of those not listed."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
