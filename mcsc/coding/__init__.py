"""Sparse codes of images of any size, with filters of one or of many signals."""
