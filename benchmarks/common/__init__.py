"""What all benchmarks share: problems, clocks, peers, results, plots."""
