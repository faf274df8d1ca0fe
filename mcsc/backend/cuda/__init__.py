"""What the CuPy backend is made of: kernels, transforms, peaks; imported only with CuPy."""
