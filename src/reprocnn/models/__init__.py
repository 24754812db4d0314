"""The architectures, one file each; build.py builds a model by its name."""
