"""Benchmarks: ``python -m benchmarks.<name>``; ``python -m benchmarks.report`` writes the page."""
