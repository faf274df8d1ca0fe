"""The commands of the command line; heavy imports are inside their functions."""
