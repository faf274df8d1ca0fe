"""A block of the network, computed in different ways that must agree."""
