"""
The authors' released weights
=============================

The authors of CU-Net publish weights as PyTorch files. ``unfolded.load_official`` reads them without running what is
in them (a ``.pth`` file is a pickle, which could do anything) and finds channels, filters, blocks and kind from the
tensors alone. The files may not be passed on, so this page writes one of the same format, with random numbers, and
reads that. With a file of theirs, only the name changes.
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
print(f"{sum(p.numel() for p in again.parameters())} numbers")

# %%
# Their first filters, as images. In files of theirs these are edges; here, noise. On the command line, a file of
# theirs is used by ``mcsc restore depth.png photo.png --task depth-sr --method cunet --weights depth_ks9.pth -o out.png``.
figure, axes = plt.subplots(1, 8, figsize=(8, 1.3), layout="constrained")
for axis, atom in zip(axes, net.unique[0].first.weight.detach(), strict=False):
    axis.imshow(atom[0], cmap="RdBu_r")
    axis.set(xticks=[], yticks=[])
