"""What a network starts from: a dictionary, weights of others, weights of its own."""
