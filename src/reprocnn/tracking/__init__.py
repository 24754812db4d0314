"""The MLflow view of a run. DVC's files are the truth: it can be made from them at any time."""
