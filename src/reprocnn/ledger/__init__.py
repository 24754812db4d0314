"""What happened: Git, DVC's results, and MLflow as their mirror. No stage imports it."""
