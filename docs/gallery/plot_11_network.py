"""
Start CU-Net from a dictionary
==============================

The network of the paper is the model with a few iterations unrolled. So a dictionary *is* a network: made from
one, it computes, untrained, what one sweep of the alternating solver does. Training then changes all filters
and thresholds.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch

import mcsc
import unfolded
from mcsc.images import lowpass_split, luma_studio
from mcsc.synthetic import scenes


def prepared(pair):
    """Detail of depth and photograph, and what the network is to add to the bicubic depth."""
    x, y = lowpass_split(pair.x, 5.0).high, lowpass_split(luma_studio(pair.y), 5.0).high
    return x, y, pair.target - pair.x


training = [prepared(pair) for pair in scenes("depth", 16, shape=(96, 96), seed=1)]
unseen = [prepared(pair) for pair in scenes("depth", 4, shape=(96, 96), seed=2)]
learned = mcsc.learn(
    [(x, y) for x, y, _ in training[:8]],
    [z for _, _, z in training[:8]],
    lam=0.05, n_common=8, n_unique=8, filter_size=7, window=48, passes=2, seed=0,
)  # fmt: skip

# %%
# The identity, checked: network and solver give the same codes. With J blocks a module makes J + 1 steps.
dictionary = learned.dictionary.astype("float32")
net = unfolded.CUNet.from_dictionary(dictionary, lam=0.05, blocks=3)
x, y, _ = unseen[0]
with torch.no_grad():
    c, (u, v) = net.codes(torch.from_numpy(x[None]), torch.from_numpy(y[None]))
with warnings.catch_warnings():  # one sweep is far from the optimum, and says so
    warnings.simplefilter("ignore", mcsc.ConvergenceWarning)
    sweep = mcsc.solve((x, y), dictionary, 0.05, method="alternating", max_iter=1, inner_steps=4)
print(f"largest difference of the common codes: {np.abs(c.numpy() - sweep.codes.common).max():.1e}")


# %%
# Train it for a few seconds, and look at the error on scenes that it has not seen. That is a beginning: the weights that
# come with the package were trained for hours (:doc:`/explanations/networks`).
def error(net):
    """Root mean square error on the unseen scenes, in grey levels of 255."""
    with torch.no_grad():
        squares = [
            ((net(torch.from_numpy(x[None]), torch.from_numpy(y[None])).numpy() - z) ** 2).mean()
            for x, y, z in unseen
        ]
    return 255 * float(np.sqrt(np.mean(squares)))


before = error(net)
recipe = unfolded.Recipe(
    epochs=3, patches_per_epoch=160, patch=48, batch_size=8, learning_rate=5e-4, clip_norm=0.1,
    schedule="cosine", seed=0,
)  # fmt: skip
trained = unfolded.train(net, training, recipe=recipe, validation=unseen)
bicubic = 255 * float(np.sqrt(np.mean([(z**2).mean() for _, _, z in unseen])))
print(f"bicubic {bicubic:.2f}, untrained {before:.2f}, trained {error(net):.2f} grey levels of 255")

x, y, z = unseen[0]
with torch.no_grad():
    answer = net(torch.from_numpy(x[None]), torch.from_numpy(y[None]))[0].numpy()
figure, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
spread = np.abs(z).max() / 2
for axis, (title, image) in zip(
    axes,
    {"photograph, detail": y, "wanted": z, "the network's answer": answer}.items(),
    strict=True,
):
    axis.imshow(image.squeeze(), cmap="gray", vmin=-spread, vmax=spread)
    axis.set(title=title, xticks=[], yticks=[])
