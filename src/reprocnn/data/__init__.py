"""Sources of images, splits and normalisation."""
