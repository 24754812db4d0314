"""Data sets: download or read images, split them, normalise them."""
