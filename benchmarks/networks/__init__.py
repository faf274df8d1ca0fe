"""Benchmarks of the networks: speed, accuracy, training."""
