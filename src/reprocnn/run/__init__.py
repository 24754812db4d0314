"""Run a stage: exit status, signals, locks, checkpoints, the journal, and the identity of a training."""
