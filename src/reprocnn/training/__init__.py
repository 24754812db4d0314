"""Training: batches, augmentation, optimizers, schedules and the fit of a model."""
