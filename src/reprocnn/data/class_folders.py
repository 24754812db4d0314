"""Find the class and the split of each image from the names of its folders.

An ambiguous layout is an error that shows the folders, and never a guess: a model trained on wrong classes or splits
may look good, but its results would be meaningless.
"""

from pathlib import Path, PurePosixPath
from typing import NoReturn

from reprocnn.data.archives import ARCHIVES
from reprocnn.data.folder_tree import Folder, build_tree, first_few
from reprocnn.data.layout import LAYOUT, Layout, is_image
from reprocnn.data.split_names import is_about, is_container, is_unlabelled, may_be_a_class, split_of
from reprocnn.errors import UserError

_MARK_AS_CLASSES = "put all class folders into one folder `train`: then every folder in it is a class"


def read_class_folders(source: Path, files: list[str], folders: list[str]) -> Layout:
    """Find the class and the split of every image.

    Args:
        source: the directory or archive, for the messages.
        files: the paths of all files in it, without junk files, with `/` as separator.
        folders: the paths of all folders in it, without junk; an archive may not list all of them.

    Raises:
        UserError: the source or a folder lacks images, or the layout is wrong or ambiguous.
    """
    images = [name for name in files if is_image(name)]
    if not images:
        raise UserError(f"{source}: no images found", f"use {LAYOUT}")
    _refuse_empty(source, files, folders)
    return _Reader(source, build_tree(images)).read(files)


def _refuse_empty(source: Path, files: list[str], folders: list[str]) -> None:
    direct = map(PurePosixPath, {name.rpartition("/")[0] for name in files})
    filled = {str(parent) for folder in direct for parent in (folder, *folder.parents)}
    empty = {name for name in folders if name not in filled}
    if top := sorted(name + "/" for name in empty if str(PurePosixPath(name).parent) not in empty):
        raise UserError(f"{source}: no images in {first_few(top)}", "put images in there, or remove it")


class _Reader:
    """Reader of one tree of images.

    Args:
        source: the directory or archive, for the messages.
        tree: the folders and images in it.
    """

    def __init__(self, source: Path, tree: Folder) -> None:
        self._source, self._tree = source, tree
        self._labels: dict[str, tuple[str, str]] = {}  # path of a class folder -> class, split
        self._messages: list[str] = []

    def read(self, files: list[str]) -> Layout:
        """Find the class of each file. Files outside class folders that aren't images are ignored."""
        root = self._tree.unwrap_to_splits()
        self._refuse_loose(root)
        if splits := _splits(root):
            self._label_splits(root, splits)
        elif _has_splits_in_every_class(root):
            self._label_splits_in_classes(root)
        else:
            self._label_classes(root)
        self._refuse_untrained_classes()
        labels = [(name, self._label(name)) for name in files]
        self._ignore([name for name, label in labels if label is None])
        labelled = [(name, *label) for name, label in labels if label is not None]
        names, classes, splits_of_images = (list(column) for column in zip(*labelled, strict=True))
        return Layout(names, classes, splits_of_images, [""] * len(names), self._messages)

    def _label_splits(self, root: Folder, splits: dict[str, list[Folder]]) -> None:
        self._refuse_wrong_splits(splits)
        (train,) = splits["train"]
        held_out = [(folder, split) for split in ("validation", "test") for folder in splits.get(split, [])]
        others = [f for f in root.children() if f not in (train, *(folder for folder, _ in held_out))]
        unlabelled = [f for f in others if is_unlabelled(f.path[-1]) and len(f.image_folders()) == 1]
        if unexpected := [str(f) for f in others if f not in unlabelled]:
            self._refuse(
                f"expected only train/, val/ and test/, found {first_few(unexpected)} beside {train}",
                f"move away what isn't a split; or, if {train.path[-1]!r} is a class, {_MARK_AS_CLASSES}",
            )
        for folder, split in held_out:
            self._refuse_without_classes(folder, split)
        for folder, split in [(train, "train" if held_out else "all"), *held_out]:
            inner = folder.unwrap()
            self._refuse_loose(inner)
            self._refuse_nested_classes(inner)
            self._add(inner, split)
        for folder in unlabelled:
            self._messages.append(f"ignored {folder.count_images()} image(s) in {folder}, which has no class folders")

    def _refuse_wrong_splits(self, splits: dict[str, list[Folder]]) -> None:
        folders = [folder for several in splits.values() for folder in several]
        names = first_few([str(folder) for folder in folders])
        if "unclear" in splits:
            self._refuse(f"{splits['unclear'][0]} names several splits", "rename it to train or test")
        if "train" not in splits:
            name = folders[0].path[-1]
            only = f"if these are all your images, set `folder` to the path of {name}/"
            self._refuse(
                f"found {names} but no train/", f"add train/; {only}; if {name!r} is a class, {_MARK_AS_CLASSES}"
            )
        if max(map(len, splits.values())) > 1 or len({split_of(folder.path[-1])[1] for folder in folders}) > 1:
            self._refuse(
                f"expected at most one train/, val/ and test/, found {names}",
                f"merge or rename them, or move some away; if they are classes, {_MARK_AS_CLASSES}",
            )

    def _refuse_without_classes(self, folder: Folder, split: str) -> None:
        if _has_no_classes(folder):
            self._refuse(
                f"the images in {folder} are not in class folders",
                f"sort them into class folders; or move {folder} away, and a part of the other images will be the "
                f"{split} split",
            )

    def _label_splits_in_classes(self, root: Folder) -> None:
        for folder in root.children():
            for inner in folder.children():
                split = str(split_of(inner.path[-1])[0])
                self._labels["/".join(inner.path)] = folder.class_name, split
        self._messages.append("splits from the folders train/, val/ and test/ in each class folder")

    def _label_classes(self, root: Folder) -> None:
        for folder in root.children():
            if is_container(folder.path[-1]) or is_unlabelled(folder.path[-1]):
                self._refuse(
                    f"{folder} is beside class folders, but its name doesn't look like a class",
                    f"move it away; or, if it is a class, {_MARK_AS_CLASSES}",
                )
        self._refuse_nested_classes(root)
        ambiguous = [folder for folder in root.children() if len(folder.image_folders()) > 1]
        if ambiguous and not any(folder.files for folder in root.children()):
            outer, inner = ambiguous[0], ambiguous[0].image_folders()[0]
            self._refuse(
                f"ambiguous: the class may be {outer} or {inner}",
                f"if it is {outer}, {_MARK_AS_CLASSES}; if it is {inner}, move the class folders up",
            )
        self._add(root, "all")

    def _refuse_nested_classes(self, parent: Folder) -> None:
        """Refuse a class or split inside a class folder: that folder is a wrapper, or it duplicates the images."""
        class_names = {folder.class_name for folder in parent.children()}
        for folder in parent.children():
            for inner in folder.descendants():
                if split_of(inner.path[-1]) in _CERTAIN_SPLITS:
                    self._refuse(f"{inner} is a split inside a class folder", f"use {LAYOUT}")
                if inner.class_name in class_names - {folder.class_name}:
                    self._refuse(
                        f"{inner.class_name!r} is a class, but also a folder inside {folder}",
                        f"if {folder} has copies of the images, move it away; else move its folders up",
                    )

    def _refuse_loose(self, folder: Folder) -> None:
        if not folder.files:
            return
        if any(name.lower().endswith(ARCHIVES) for name in folder.files):
            self._refuse(
                f"expected images, found {first_few(folder.files)}",
                "unpack the archive; or, if it has all the images, move the other files away",
            )
        verb = "is" if len(folder.files) == 1 else "are"
        self._refuse(f"{first_few(folder.files)} {verb} not in a class folder", f"move it away, or use {LAYOUT}")

    def _refuse_untrained_classes(self) -> None:
        in_train = {name for name, split in self._labels.values() if split in ("train", "all")}
        if untrained := sorted({name for name, _ in self._labels.values()} - in_train):
            names = first_few([repr(name) for name in untrained])
            noun = "class" if len(untrained) == 1 else "classes"
            found = sorted({split for name, split in self._labels.values() if name in untrained})
            self._refuse(
                f"{noun} {names} in the {' and '.join(found)} split but not in train/",
                "add images of it to train/, or remove it from the other split",
            )

    def _add(self, parent: Folder, split: str) -> None:
        for folder in parent.children():
            self._labels["/".join(folder.path)] = folder.class_name, split
        words = {"train": "training images", "validation": "validation images", "test": "test images", "all": "images"}
        what = words[split]
        self._messages.append(
            f"{what} from the class folders in {parent}" if parent.path else f"{what} from its class folders"
        )
        if nested := [str(f) for folder in parent.children() for f in folder.descendants() if f.files]:
            self._messages.append(f"folders inside a class folder belong to that class: {first_few(nested)}")

    def _label(self, name: str) -> tuple[str, str] | None:
        """Return the class and split of a file, or None if it isn't in a class folder."""
        end = name.find("/")
        while end >= 0:
            if label := self._labels.get(name[:end]):
                return label
            end = name.find("/", end + 1)
        return None

    def _ignore(self, names: list[str]) -> None:
        """Report ignored files. Refuse a folder beside the class folders that has only such files: a class is empty."""
        parents = {path.rpartition("/")[0] for path in self._labels}
        ignored = [name for name in names if not is_image(name)]
        for name in ignored:
            for folder in PurePosixPath(name).parents:
                above = str(folder.parent).removeprefix(".")
                if folder.name and above in parents and not is_about(folder.name):
                    self._refuse(f"no images in {folder}/", "put images in there, or move it away")
        if ignored:
            self._messages.append(
                f"ignored {len(ignored)} file(s) outside class folders that aren't images: {first_few(ignored)}"
            )

    def _refuse(self, problem: str, fix: str) -> NoReturn:
        raise UserError(f"{self._source}: {problem}; it contains\n{self._tree.draw()}", fix)


_SPLITS = {(split, ()) for split in ("train", "test", "validation")}
_CERTAIN_SPLITS = {(split, ()) for split in ("train", "test", "validation", "unclear")}


def _splits(root: Folder) -> dict[str, list[Folder]]:
    """Return split -> folders whose names stand for it."""
    splits: dict[str, list[Folder]] = {}
    for folder in root.children():
        if split := split_of(folder.path[-1])[0]:
            splits.setdefault(split, []).append(folder)
    if set(splits) == {"validation"} and all(may_be_a_class(folder.path[-1]) for folder in splits["validation"]):
        return {}
    return splits


def _has_no_classes(folder: Folder) -> bool:
    """Return whether all images of a split are in one folder with a name such as `test` or `images`, not a class."""
    folders = folder.image_folders()
    name = folders[0].path[-1]
    return len(folders) == 1 and (is_container(name) or split_of(name)[0] is not None)


def _has_splits_in_every_class(root: Folder) -> bool:
    """Return whether each class folder contains only train/, val/ and test/, or some of them."""
    inner = [child for folder in root.children() for child in folder.children()]
    return (
        bool(inner)
        and all(folder.folders and not folder.files for folder in root.children())
        and all(split_of(folder.path[-1]) in _SPLITS for folder in inner)
    )
