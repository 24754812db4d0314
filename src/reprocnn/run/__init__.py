"""Code that surrounds a stage: locks, checkpoints, the journal, the identity of a training."""
