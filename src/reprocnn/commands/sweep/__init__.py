"""Run a sweep: Optuna proposes the parameters of each trial, Ray starts it, and DVC keeps it as an experiment."""
