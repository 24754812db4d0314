"""What lies in folders of images and is none of them: what systems and programs leave behind, and notes."""

import re

_NAMES = {
    # macOS, Windows, Linux, Android
    *("__macosx", "icon\r", "desktop.ini", "picasa.ini"),
    *("$recycle.bin", "system volume information", "found.000", "lost+found", "lost.dir"),
    # network storage of Synology and QNAP
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
}
_STARTS = (
    ".",  # hidden: ._x.jpg, .DS_Store, .AppleDouble, .Trash-1000, .picasa.ini
    "~$",  # open in Office
    "thumbs.db",
    "ehthumbs",
    "synofile_thumb",
)
_ENDS = (
    # half-finished downloads and copies, backups
    *(".part", ".partial", ".crdownload", ".opdownload", ".download", ".aria2", ".tmp", ".temp", ".bak", "~"),
    # links, lists of thumbnails, where a download came from
    *(".url", ".lnk", ".webloc", ".db", ":zone.identifier"),
    # what photo programs, and DVC, note of a file
    *(".xmp", ".aae", ".dvc"),
)
_NOTE = re.compile(r"(readme|licen[cs]e)[^/]*\.(md|rst|txt)|readme|licen[cs]e|\.git.*", re.IGNORECASE)


def is_note(name: str) -> bool:
    """Tell whether a file is about the images as a whole, or Git's own: README, LICENSE, .gitignore."""
    return bool(_NOTE.fullmatch(name.rpartition("/")[2]))


def is_litter(name: str) -> bool:
    """Tell whether a file or folder, or a folder around it, is litter; names have slashes."""
    return any(part.startswith(_STARTS) or part.endswith(_ENDS) or part in _NAMES for part in name.lower().split("/"))
