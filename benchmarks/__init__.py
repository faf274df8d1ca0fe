"""Benchmarks: ``python -m benchmarks.<room>.<name>``, and the pages of their results."""
