"""Read what happened from Git, DVC and the journal, and mirror it to MLflow. No stage imports this package."""
