"""Formats of image files, one module for each family: `mcsc.images.files` is the front door."""
