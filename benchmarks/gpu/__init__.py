"""All that is to be measured, and trained, on a GPU that is at hand for some minutes."""
