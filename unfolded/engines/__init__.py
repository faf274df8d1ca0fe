r"""One computation, written four times: an LCSC module, the network's building block.

**What is computed.** An image x of shape (N, C, H, W) becomes K maps of shape (N, K, H, W), by J
unrolled steps of convolutional ISTA (Eqs. 8, 10, 13; Appendix A, Eq. 18):

.. math::

    U_0 = S_{\lambda_0}(E_0 x), \qquad
    U_j = S_{\lambda_j}(U_{j-1} - E_j D_j U_{j-1} + E_0 x), \quad j = 1, \ldots, J.

Without residuals (Table 5's ablation) :math:`U_j = S_{\lambda_j}(E_j D_j U_{j-1})`. A module that
goes on, as those of a second sweep do, starts from maps :math:`U_0` that it is given. A threshold
is one number for all maps, or one for each, and may differ between samples:
:math:`S(t) = \operatorname{sign}(t) \max(|t| - \lambda, 0)`; a negative one, which training may
produce, makes \|t\| grow and leaves zeros alone. Tied blocks share the tensors :math:`E_j = E_0`,
:math:`D_j = D_1` and the threshold; an engine sees the same tensor J times.

The network is three such modules and the filters around them: u and v from x and y, c from what
their filters leave, ``(x - D_u u, y - D_v v)``, and the target ``z = gc c + gu u [+ gv v]``. In a
further sweep u and v go on from what c leaves of x and y, then c from what they leave.

**Filters** have side s, odd or even. Those that make an image of maps, D and g, have the shape
(C, K, s, s) and are flipped, those that make maps of an image, E, have (K, C, s, s): both as
`torch.nn.functional.conv2d` takes them. The convolution is the centred one of `mcsc`,
:math:`(d * c)[i] = \sum_p d[p]\, c[i - p + o]` with :math:`o = \lfloor (s - 1) / 2 \rfloor`, zero
outside the image. So E sees an image with o pixels of zeros before it and :math:`s - 1 - o` after
it (`margins`), and D, its adjoint, sees maps with these two exchanged. For odd s both are
:math:`(s - 1) / 2`.

**Who computes it.** An engine takes `Steps`, the tensors and no module; what serves a call is
decided in one place, `unfolded.network.engine_choice`.

===============  =============================================================================
`reference`      PyTorch's layers: any device, precision and compiler, differentiable. The other
                 engines are tested against it. It runs the modules themselves, and so their hooks.
`cpu_inference`  A whole network by the same on strips of rows, its maps in place; no gradients.
`training`       An LCSC module, or one D, and its gradient by convolutions along columns; float32,
                 or bfloat16 under autocast, on a GPU or where the processor multiplies in it.
                 Derivatives of that gradient are those of `reference`.
`gpu`            A whole network by Triton kernels; float32, TF32 or bfloat16; no gradients. By
                 `unfolded.accelerate` only.
===============  =============================================================================
"""
