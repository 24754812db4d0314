"""The architectures, a file for each; build.py makes a model by its name."""
