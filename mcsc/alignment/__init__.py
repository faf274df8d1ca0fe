"""Bringing images of one scene into register: pairs of them, and stacks."""
