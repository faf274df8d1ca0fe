"""The imaging tasks: restoration and fusion of real images."""
