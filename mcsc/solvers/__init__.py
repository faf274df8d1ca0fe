"""Solvers of Eq. 5: `mcsc.solve` is the one front door."""
