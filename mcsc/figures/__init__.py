"""Figures and reports of results, for the command line."""
