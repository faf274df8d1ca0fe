"""Benchmarks of exact sparse coding and dictionary learning."""
