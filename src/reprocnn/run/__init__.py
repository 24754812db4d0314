"""What surrounds a stage: locks, checkpoints, the identity of a training."""
