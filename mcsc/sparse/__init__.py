"""What works on nonzero coefficients alone: tiles, the active set, the operator on codes."""
