"""How sources become one image: fusion rules, bases, colours, and stacks of any length."""

JOINTLY = 8
"""Sources that are coded as one problem. More of them are coded each alone, if the rule chooses
between them: memory for all of the codes would grow with their number."""
