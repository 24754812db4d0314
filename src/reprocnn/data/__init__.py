"""The sources of images, their splits and their normalisation."""
