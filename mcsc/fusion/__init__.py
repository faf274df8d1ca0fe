"""How sources become one image: fusion rules, bases, colours, and stacks of any length."""
