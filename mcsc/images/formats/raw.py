"""Raw photographs, as cameras write them, by LibRaw."""

from __future__ import annotations

from ...errors import MissingExtraError
from .base import Request, Samples, check_size, decoding, pick
from .tiff import exif_of_tiff

__all__ = ["read_raw"]


def read_raw(request: Request) -> Samples:
    """Develop a raw photograph: RGB of 16 bits in sRGB, upright, with the camera's white balance.

    Brightness stays as it was exposed, so that exposures of a bracket keep their distance.
    """
    path = request.path
    pick(request, 1, "page")
    try:
        import rawpy
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path}: is a raw photograph, which needs rawpy: install mcsc[raw], or develop it "
            "to TIFF of 16 bits"
        ) from error
    with decoding(path, "raw photograph"), rawpy.imread(str(path)) as opened:
        sizes = opened.sizes
        # Packed without loss, by a factor of no more than that of a JPEG.
        shape = (3, max(sizes.raw_height, sizes.height), max(sizes.raw_width, sizes.width))
        check_size(path, "raw photograph", shape, 2, packing=1024)
        values = opened.postprocess(output_bps=16, use_camera_wb=True, no_auto_bright=True)
    note = "developed to sRGB with the camera's white balance, brightness as exposed"
    return Samples(values.transpose(2, 0, 1), 16, metadata=exif_of_tiff(path), note=note)
