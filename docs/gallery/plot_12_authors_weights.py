"""
The authors' released weights
=============================

The authors of CU-Net publish weights as PyTorch files. ``unfolded.load_official`` reads them without running what is
in them (a ``.pth`` file is a pickle, which could do anything) and finds channels, filters, blocks and kind from the
tensors alone. The authors' files may not be redistributed, so this page writes a file of the same format with random
numbers, and reads that one. With a file of the authors, only the name changes.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import unfolded

torch.manual_seed(0)
shapes = {
    "decoder.conv_1": (1, 16),
    "decoder.conv_2": (1, 16),
    "conv_u": (1, 16),
    "conv_v": (1, 16),
}
for module, channels in {"net_u": 1, "net_v": 1, "net_z": 2}.items():
    shapes[f"{module}.layer_in"] = (16, channels)
    for block in range(4):
        shapes[f"{module}.down_conv_{block}"] = (channels, 16)
        shapes[f"{module}.up_conv_{block}"] = (16, channels)
state = {f"{name}.weight": 0.05 * torch.randn(*shape, 9, 9) for name, shape in shapes.items()}
for module in ("net_u", "net_v", "net_z"):
    for name in ("lam_in", "lam_0", "lam_1", "lam_2", "lam_3"):
        state[f"{module}.{name}"] = torch.tensor(0.01)

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "depth_ks9.pth"
    torch.save({"model": state, "train_loss": [0.1]}, path)
    net = unfolded.load_official(path)
    net.save(Path(folder) / "theirs.safetensors")  # from here on a file like any other
    again = unfolded.load(Path(folder) / "theirs.safetensors")
print(net.configuration)
print(f"{sum(p.numel() for p in again.parameters())} parameters")

# %%
# The first filters of the network, as images. In the authors' files these are edges; in this one, they are noise. On the
# command line, a file of the authors is used by ``mcsc restore depth.png photo.png --task depth-sr --method cunet --weights depth_ks9.pth -o out.png``.
figure, axes = plt.subplots(2, 8, figsize=(8, 2.1), layout="constrained")
for axis, atom in zip(axes.flat, net.unique[0].first.weight.detach(), strict=True):
    axis.imshow(atom[0], cmap="RdBu_r")
    axis.set(xticks=[], yticks=[])
