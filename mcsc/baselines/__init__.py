"""Well-known methods that a new one is compared with."""
