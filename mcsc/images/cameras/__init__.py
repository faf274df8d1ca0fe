"""Cameras of a depth sensor and a photograph, and depth brought from the one to the other."""
