"""Pages and pictures that are written from the results."""
