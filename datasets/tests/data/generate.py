"""Writes the golden files of this folder and prints the hashes used in `../resize_pillow.rs`.

Needs Pillow and numpy; the `torch_*.f32` files also need PyTorch (skipped without it).
Run it from any folder: python generate.py
"""

import io
import pathlib
import struct

import numpy as np
from PIL import Image, __version__ as pillow_version

HERE = pathlib.Path(__file__).resolve().parent
FILTERS = {
    "Box": Image.Resampling.BOX,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Lanczos3": Image.Resampling.LANCZOS,
}


def procedural(width, height):
    """The picture of `tests/common/mod.rs`: smooth, checkered and noisy in one channel each."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    red = (x * x + 3 * y * y + x * y // 5) % 256
    green = ((x // 7 + y // 5) % 2) * 200 + (x * 3 + y) % 56
    blue = (x * 29) ^ (y * 53)
    return np.stack([red, green, blue % 256], -1).astype(np.uint8)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % (1 << 64)
    return value


def resize_hashes():
    print(f"// Pillow {pillow_version}")
    small = [(32, 32), (97, 61), (7, 100), (1, 1), (61, 20), (20, 43)]
    large = [(256, 256), (97, 61), (500, 700)]
    thin = [(7, 3), (1, 64)]
    for source, targets in {(61, 43): small, (613, 431): large, (3000, 1): thin, (1, 1): [(5, 4)]}.items():
        picture = Image.fromarray(procedural(*source))
        for target in targets:
            for name, code in FILTERS.items():
                out = picture.resize(target, code).tobytes()
                print(f"    ({source}, {target}, Filter::{name}, 0x{fnv1a(out):016x}),")


def torch_goldens():
    try:
        import torch
    except ImportError:
        print("// no torch: torch_*.f32 not written")
        return
    for source, target, kind in [((61, 43), (9, 7), "down"), ((9, 7), (20, 16), "up"), ((61, 43), (5, 50), "mixed")]:
        planar = torch.from_numpy(procedural(*source)).permute(2, 0, 1)[None].float() / 255
        for mode in ["bilinear", "bicubic"]:
            out = torch.nn.functional.interpolate(
                planar, size=(target[1], target[0]), mode=mode, align_corners=False, antialias=True
            )
            data = out.numpy().astype("<f4").tobytes()
            (HERE / f"torch_{mode}_{kind}.f32").write_bytes(data)


def save(name, picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    (HERE / name).write_bytes(buffer.getvalue())


def ycck_from(path):
    """Rewrites the Adobe transform byte of a CMYK JPEG from 0 (CMYK) to 2 (YCCK): new colours, same data."""
    data = bytearray(path.read_bytes())
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def codec_files():
    rgb = Image.fromarray(procedural(12, 9))
    palette = rgb.quantize(16)
    save("palette.png", palette, format="PNG")
    (HERE / "palette.rgb").write_bytes(palette.convert("RGB").tobytes())
    save("palette_transparent.png", palette, format="PNG", transparency=0)
    grey = rgb.convert("L")
    save("grey.png", grey, format="PNG")
    (HERE / "grey.rgb").write_bytes(grey.convert("RGB").tobytes())
    save("bilevel.png", grey.convert("1"), format="PNG")
    (HERE / "bilevel.rgb").write_bytes(grey.convert("1").convert("RGB").tobytes())
    smooth = Image.fromarray(
        np.stack(np.broadcast_arrays(*np.ogrid[40:200:12j, 30:220:16j], 90), -1).astype(np.uint8)
    )
    save("smooth.jpg", smooth, format="JPEG", quality=95, subsampling=0)
    save("progressive.jpg", smooth, format="JPEG", quality=95, progressive=True)
    save("grey.jpg", smooth.convert("L"), format="JPEG", quality=95)
    save("cmyk.jpg", smooth.convert("CMYK"), format="JPEG", quality=95)
    (HERE / "ycck.jpg").write_bytes(ycck_from(HERE / "cmyk.jpg"))
    for name in ["smooth.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "ycck.jpg"]:
        decoded = Image.open(HERE / name).convert("RGB").tobytes()
        (HERE / name.replace(".jpg", ".jpg.rgb")).write_bytes(decoded)
    save("lossless.webp", rgb, format="WEBP", lossless=True)
    save("lossy.webp", smooth, format="WEBP", quality=90)
    save("picture.gif", rgb, format="GIF")
    save("picture.bmp", Image.new("RGB", (2, 2)), format="BMP")


resize_hashes()
torch_goldens()
codec_files()
