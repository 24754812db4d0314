"""Recognise files that aren't part of the data: hidden, system and temporary files, README and LICENSE."""

import re

_NAMES = {
    # operating systems: macOS, Windows, Linux, Android
    *("__macosx", "icon\r", "desktop.ini", "picasa.ini"),
    *("$recycle.bin", "system volume information", "found.000", "lost+found", "lost.dir"),
    # network storage: Synology, QNAP
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
    # links, thumbnail databases, the origin of a download
    *(".url", ".lnk", ".webloc", ".db", ":zone.identifier"),
    # files beside an image or folder, written by photo programs and DVC
    *(".xmp", ".aae", ".dvc"),
)
_NOTE = re.compile(r"(readme|licen[cs]e)[^/]*\.(md|rst|txt)|readme|licen[cs]e|\.git.*", re.IGNORECASE)


def is_note(name: str) -> bool:
    """Return whether a file is a README, a LICENSE or one of Git's own files, such as .gitignore."""
    return bool(_NOTE.fullmatch(name.rpartition("/")[2]))


def is_junk(name: str) -> bool:
    """Return whether a path is hidden, temporary, or made by the operating system or a program; or in such a folder.

    Args:
        name: the path of a file or folder, with `/` as separator.
    """
    return any(part.startswith(_STARTS) or part.endswith(_ENDS) or part in _NAMES for part in name.lower().split("/"))
