"""Derive the classes and splits of images from their paths.

An ambiguous layout is refused with a drawing of the folders: training on wrong classes works but means nothing.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from reprocnn.data.archives import ARCHIVES
from reprocnn.data.folder_tree import Folder, some, tree_of
from reprocnn.data.split_names import is_about, is_container, is_unlabelled, may_be_a_class, split_of
from reprocnn.errors import UserError

LAYOUT = "one folder per class, for example cats/*.jpg and dogs/*.jpg, with or without train/ and test/ above them"

_EXPLICIT = "put all class folders into one folder `train`, below which every folder is a class"
_ABOUT_IMAGES = (
    *(
        ".txt",
        ".md",
        ".rst",
        ".csv",
        ".tsv",
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".html",
        ".htm",
        ".pdf",
    ),
    *(".doc", ".docx", ".xls", ".xlsx", ".tex", ".bib", ".mat", ".pkl", ".parquet", ".py", ".ipynb", ".sh", ".log"),
)
"""Suffixes of files that many data sets have beside their images; ignored outside of class folders."""


@dataclass(frozen=True)
class Layout:
    """The images with their classes and splits.

    Args:
        names: paths of the images, in the order of the source.
        classes: the class of each image.
        splits: the split of each image, `train` or `test`; `all` without a test split.
        lines: messages for the user about how the folders were read.
    """

    names: list[str]
    classes: list[str]
    splits: list[str]
    lines: list[str]


def read_layout(source: Path, files: list[str], folders: list[str]) -> Layout:
    """Find the class and the split of every image.

    Args:
        source: the name of the directory or archive in messages.
        files: paths of all files, without litter.
        folders: paths of all folders that the source lists, without litter.

    Raises:
        UserError: there are no images, a folder is empty, or the layout is ambiguous.
    """
    images = [name for name in files if not name.lower().endswith(_ABOUT_IMAGES)]
    if not images:
        raise UserError(f"{source}: no images found", f"use {LAYOUT}")
    _refuse_empty(source, files, folders)
    return _Reader(source, tree_of(images)).read(files)


def _refuse_empty(source: Path, files: list[str], folders: list[str]) -> None:
    filled = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    empty = {name for name in folders if name not in filled}
    if top := sorted(name + "/" for name in empty if str(PurePosixPath(name).parent) not in empty):
        raise UserError(f"{source}: no images in {some(top)}", "put images in there, or remove it")


class _Reader:
    """Reader of one tree of images.

    Args:
        source: its name in messages.
        tree: the images.
    """

    def __init__(self, source: Path, tree: Folder) -> None:
        self._source, self._tree = source, tree
        self._labels: dict[str, tuple[str, str]] = {}  # class and split by the path of a class folder
        self._lines: list[str] = []

    def read(self, files: list[str]) -> Layout:
        """Assign a class to each file; ignore files that aren't images outside of class folders."""
        root = self._tree.unwrapped_to_splits()
        self._refuse_loose(root)
        if splits := _splits(root):
            self._read_splits(root, splits)
        elif _has_splits_in_every_class(root):
            self._read_splits_in_classes(root)
        else:
            self._read_classes(root)
        self._refuse_untrained()
        labels = [(name, self._label(name)) for name in files]
        self._leave_out([name for name, label in labels if label is None])
        found = [(name, *label) for name, label in labels if label is not None]
        names, classes, splits_of_images = (list(column) for column in zip(*found, strict=True))
        return Layout(names, classes, splits_of_images, self._lines)

    def _read_splits(self, root: Folder, splits: dict[str, list[Folder]]) -> None:
        self._refuse_wrong_splits(splits)
        (train,), tests = splits["train"], splits.get("test", [])
        beside = [f for f in root.children() if f not in (train, *tests)]
        unlabelled = [f for f in beside if is_unlabelled(f.path[-1]) and len(f.holders()) == 1]
        if extra := [str(f) for f in beside if f not in unlabelled]:
            self._refuse(
                f"expected only train/ and test/, found {some(extra)} beside {train}",
                f"move away what isn't a split; or, if {train.path[-1]!r} is a class, {_EXPLICIT}",
            )
        for test in tests:
            if _has_no_classes(test):
                self._refuse(
                    f"the images of {test} are in no class folders",
                    f"sort them into class folders, or move {test} away: then a test split is drawn from the others",
                )
        for folder, split in [(train, "train" if tests else "all"), *((test, "test") for test in tests)]:
            inner = folder.unwrapped()
            self._refuse_loose(inner)
            self._refuse_nested_classes(inner)
            self._add(inner, split)
        self._lines.extend(f"left out: {f.count()} image(s) of {f}, which are in no class folders" for f in unlabelled)

    def _refuse_wrong_splits(self, splits: dict[str, list[Folder]]) -> None:
        folders = [folder for several in splits.values() for folder in several]
        names = some([str(folder) for folder in folders])
        if "unclear" in splits:
            self._refuse(f"{splits['unclear'][0]} names several splits", "call it train or test")
        if validation := splits.get("validation"):
            merge = f"merge {validation[0]} into train/: validation images are drawn by validation_fraction"
            measure = "" if "test" in splits else "; or rename it to test/, to measure the model on it"
            self._refuse(f"expected only train/ and test/, found {validation[0]}", merge + measure)
        if "train" not in splits:
            name = splits["test"][0].path[-1]
            own = f"if these are all your images, name the folder {name} itself as `folder`"
            self._refuse(f"found {names} and no train/", f"add train/; {own}; if {name!r} is a class, {_EXPLICIT}")
        if max(map(len, splits.values())) > 1 or len({split_of(folder.path[-1])[1] for folder in folders}) > 1:
            self._refuse(
                f"expected one train/ and one test/, found {names}",
                f"merge or rename them, or move one away; if they are classes, {_EXPLICIT}",
            )

    def _read_splits_in_classes(self, root: Folder) -> None:
        for folder in root.children():
            for inner in folder.children():
                split = str(split_of(inner.path[-1])[0])
                self._labels["/".join(inner.path)] = folder.class_name, split
        self._lines.append("splits inside of each class folder: train/ and test/")

    def _read_classes(self, root: Folder) -> None:
        for folder in root.children():
            if is_container(folder.path[-1]) or is_unlabelled(folder.path[-1]):
                self._refuse(f"{folder} is beside class folders and isn't a class", f"move it away; or {_EXPLICIT}")
        self._refuse_nested_classes(root)
        unclear = [folder for folder in root.children() if len(folder.holders()) > 1]
        if unclear and not any(folder.files for folder in root.children()):
            self._refuse(
                f"{unclear[0]} may be a class, or {unclear[0].holders()[0]}",
                f"for the first, {_EXPLICIT}; for the second, move the class folders up",
            )
        self._add(root, "all")

    def _refuse_nested_classes(self, parent: Folder) -> None:
        """Refuse classes or splits inside of class folders: the class folders are wrappers, or there are two copies."""
        class_names = {folder.class_name for folder in parent.children()}
        for folder in parent.children():
            for inner in folder.below():
                if split_of(inner.path[-1]) in _SURE:
                    self._refuse(f"{inner} is a split inside of a class", f"put the splits on top: {LAYOUT}")
                if inner.class_name in class_names - {folder.class_name}:
                    self._refuse(
                        f"{inner.class_name!r} is a class, and a folder inside of {folder}",
                        f"move {folder} away if its images are there twice, or its folders up",
                    )

    def _refuse_loose(self, folder: Folder) -> None:
        if not folder.files:
            return
        if any(name.lower().endswith(ARCHIVES) for name in folder.files):
            self._refuse(f"expected images, found {some(folder.files)}", "unpack it, or let it be the only one there")
        verb = "is" if len(folder.files) == 1 else "are"
        self._refuse(f"{some(folder.files)} {verb} in no class folder", f"move it away, or use {LAYOUT}")

    def _refuse_untrained(self) -> None:
        trained = {name for name, split in self._labels.values() if split != "test"}
        if untrained := sorted({name for name, _ in self._labels.values()} - trained):
            names = some([repr(name) for name in untrained])
            verb = "class" if len(untrained) == 1 else "classes"
            self._refuse(f"{verb} {names} in test/ but not in train/", "add images to train/, or remove it from test/")

    def _add(self, parent: Folder, split: str) -> None:
        for folder in parent.children():
            self._labels["/".join(folder.path)] = folder.class_name, split
        what = "images" if split == "all" else f"{split} images"
        self._lines.append(f"{what} from " + (f"the class folders in {parent}" if parent.path else "its class folders"))
        if nested := [str(f) for folder in parent.children() for f in folder.below() if f.files]:
            self._lines.append(f"folders inside of a class folder belong to that class: {some(nested)}")

    def _label(self, name: str) -> tuple[str, str] | None:
        end = name.find("/")
        while end >= 0:
            if label := self._labels.get(name[:end]):
                return label
            end = name.find("/", end + 1)
        return None

    def _leave_out(self, names: list[str]) -> None:
        """Report ignored files that aren't images; refuse a folder beside class folders that has only such files."""
        parents = {path.rpartition("/")[0] for path in self._labels}
        about = [name for name in names if name.lower().endswith(_ABOUT_IMAGES)]
        for name in about:
            for folder in PurePosixPath(name).parents:
                above = str(folder.parent).removeprefix(".")
                if folder.name and above in parents and not is_about(folder.name):
                    self._refuse(f"no images in {folder}/", "put images in there, or move it away")
        if about:
            self._lines.append(f"left out: {len(about)} file(s) in no class folder that aren't images: {some(about)}")

    def _refuse(self, problem: str, fix: str) -> NoReturn:
        raise UserError(f"{self._source}: {problem}; it holds\n{self._tree.drawn()}", fix)


_SURE = {(kind, ()) for kind in ("train", "test", "validation", "unclear")}


def _splits(root: Folder) -> dict[str, list[Folder]]:
    """Return split -> the folders of a tree that are named after it."""
    splits: dict[str, list[Folder]] = {}
    for folder in root.children():
        if kind := split_of(folder.path[-1])[0]:
            splits.setdefault(kind, []).append(folder)
    if set(splits) == {"validation"} and all(may_be_a_class(folder.path[-1]) for folder in splits["validation"]):
        return {}
    return splits


def _has_no_classes(folder: Folder) -> bool:
    """Return whether a split contains its images directly, or in one folder called test or images."""
    holders = folder.holders()
    name = holders[0].path[-1]
    return len(holders) == 1 and (is_container(name) or split_of(name)[0] is not None)


def _has_splits_in_every_class(root: Folder) -> bool:
    """Return whether each class folder has train/ and test/ and nothing else."""
    inner = [child for folder in root.children() for child in folder.children()]
    return (
        bool(inner)
        and all(folder.folders and not folder.files for folder in root.children())
        and all(split_of(folder.path[-1]) in {("train", ()), ("test", ())} for folder in inner)
    )
