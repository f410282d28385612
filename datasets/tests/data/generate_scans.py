"""Writes the JPEG files of the folder `scans`, in which components come in several scans or in unusual sizes, and what
Pillow reads from them (`.rgb`, one for all files of the same coefficients).

Needs Pillow, numpy and the programs cjpeg and jpegtran of libjpeg-turbo.
Run it from any folder: python generate_scans.py
"""

import pathlib
import subprocess

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parent / "scans"
WIDTH, HEIGHT = 41, 25
SIZES = {
    "444": "1x1",
    "422": "2x1",
    "440": "1x2",
    "420": "2x2",
    "411": "4x1",
    "small_first": "1x1,2x2,2x2",
    "between": "4x1,2x1,2x1",
}
ORDERS = {"y_cb_cr": "0;1;2;", "y_cbcr": "0;1,2;", "ycb_cr": "0,1;2;", "cr_cb_y": "2;1;0;"}


def picture():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    waves = [np.sin(x / 5 + y / 23), np.sin(y / 4 + 1), np.cos((x + y) / 7)]
    return np.stack([127 + 100 * wave for wave in waves], -1).astype(np.uint8)


def program(*words, given):
    return subprocess.run(words, input=given, stdout=subprocess.PIPE, check=True).stdout


def write(name, golden, data):
    (OUT / f"{name}.jpg").write_bytes(data)
    with Image.open(OUT / f"{name}.jpg") as image:
        pixels = image.convert("RGB").tobytes()
    kept = OUT / f"{golden}.rgb"
    if kept.exists():
        assert kept.read_bytes() == pixels, name
    kept.write_bytes(pixels)


def scans(order):
    script = OUT / "script"
    script.write_text(order)
    return ["-scans", str(script)]


def without(data, marker):
    """The file without the first segment of this marker."""
    at = data.index(bytes([0xFF, marker]))
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    ppm = f"P6 {WIDTH} {HEIGHT} 255\n".encode() + picture().tobytes()
    for size, factors in SIZES.items():
        plain = ["cjpeg", "-quality", "85", "-sample", factors]
        write(f"{size}_one", size, program(*plain, given=ppm))
        write(f"{size}_progressive", size, program(*plain, "-progressive", given=ppm))
        if size == "420":
            write("420_progressive_restarts", size, program(*plain, "-progressive", "-restart", "1", given=ppm))
        for order, script in ORDERS.items():
            if size in ("444", "420") or order == "y_cb_cr":
                write(f"{size}_{order}", size, program(*plain, *scans(script), given=ppm))
        restarts = ["-restart", "1"] if size == "420" else ["-restart", "3B"]
        write(f"{size}_restarts", size, program(*plain, *restarts, *scans(ORDERS["y_cb_cr"]), given=ppm))

    grey = program("cjpeg", "-grayscale", "-sample", "2x2", "-restart", "3B", given=ppm)
    write("grey_restarts", "grey", grey)

    rgb = program("cjpeg", "-rgb", "-sample", "2x2,1x1,1x1", *scans(ORDERS["y_cb_cr"]), given=ppm)
    write("named_rgb", "rgb", without(rgb, 0xEE))
    # Numbers instead of letters: now only the Adobe segment tells the colours.
    numbered = rgb
    for letter, number in zip(b"RGB", (1, 2, 3)):
        frame = numbered.index(b"\xff\xc0")
        at = numbered.index(letter, frame + 10)
        scan = numbered.index(bytes([0xFF, 0xDA, 0, 8, 1, letter]))
        numbered = bytearray(numbered)
        numbered[at] = numbered[scan + 5] = number
        numbered = bytes(numbered)
    write("adobe_rgb", "rgb", numbered)

    inks = OUT / "inks"
    Image.fromarray(picture()).convert("CMYK").save(inks, "JPEG", quality=85, subsampling=2)
    cmyk = program("jpegtran", *scans("0;1;2;3;"), given=inks.read_bytes())
    write("cmyk", "cmyk", cmyk)
    # The same numbers, said to be brightness, colour differences and black.
    transform = cmyk.index(b"Adobe") + 11
    write("ycck", "ycck", cmyk[:transform] + b"\x02" + cmyk[transform + 1 :])
    for extra in ("script", "inks"):
        (OUT / extra).unlink(missing_ok=True)


main()
