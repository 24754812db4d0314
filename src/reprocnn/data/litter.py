"""Recognise files in image folders that aren't images: litter of systems and programs, and notes."""

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
    # incomplete downloads and copies, backups
    *(".part", ".partial", ".crdownload", ".opdownload", ".download", ".aria2", ".tmp", ".temp", ".bak", "~"),
    # links, thumbnail lists, origins of downloads
    *(".url", ".lnk", ".webloc", ".db", ":zone.identifier"),
    # metadata files of photo programs and of DVC
    *(".xmp", ".aae", ".dvc"),
)
_NOTE = re.compile(r"(readme|licen[cs]e)[^/]*\.(md|rst|txt)|readme|licen[cs]e|\.git.*", re.IGNORECASE)


def is_note(name: str) -> bool:
    """Return whether a file describes the images or belongs to Git: README, LICENSE, .gitignore."""
    return bool(_NOTE.fullmatch(name.rpartition("/")[2]))


def is_litter(name: str) -> bool:
    """Return whether a path, with slashes, or a folder in it is litter."""
    return any(part.startswith(_STARTS) or part.endswith(_ENDS) or part in _NAMES for part in name.lower().split("/"))
