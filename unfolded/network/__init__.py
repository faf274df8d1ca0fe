"""The network: configuration, layers, LCSC, CU-Net, tiles."""
