"""Training: recipe, data, the Lightning module, evaluation."""
