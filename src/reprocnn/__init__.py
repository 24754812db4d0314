"""A reproducible DVC + MLflow experiment pipeline for image classifiers in Keras/TensorFlow."""
