"""Measures of images, with and without a reference."""
