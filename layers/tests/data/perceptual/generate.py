"""Writes twins.safetensors: what PyTorch computes on weights that tests/perceptual.rs makes by the same formula.

Run in this folder with PyTorch and numpy: python3 generate.py
"""

import json
import struct

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)


def numbers(name, count):
    """In -1..1, of the name and the place alone."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    x ^= x >> 16
    return ((x >> 8).astype(np.float64) / 2.0**23 - 1.0).astype(np.float32)


def tensor(name, *shape):
    u = torch.from_numpy(numbers(name, int(np.prod(shape)))).reshape(shape)
    if name.endswith("running_var"):
        return 1.0 + 0.5 * u
    if name.endswith("bn.weight"):
        return 1.0 + 0.2 * u
    if name.startswith("lin"):
        return u.abs()
    if len(shape) == 1:
        return 0.1 * u
    return u * float(np.float32(np.sqrt(np.float32(6.0) / np.float32(np.prod(shape[1:])))))


def picture(name, *shape):
    return 0.5 + 0.5 * torch.from_numpy(numbers(name, int(np.prod(shape)))).reshape(shape)


def conv(name, x, outputs, kernel, stride=1, padding=0):
    weight = tensor(name + ".weight", outputs, x.shape[1], kernel, kernel)
    return F.relu(F.conv2d(x, weight, tensor(name + ".bias", outputs), stride=stride, padding=padding))


def alexnet(x):
    taps = []
    for place, outputs, kernel, stride, padding, pooled in [
        (0, 64, 11, 4, 2, False), (3, 192, 5, 1, 2, True), (6, 384, 3, 1, 1, True), (8, 256, 3, 1, 1, False),
        (10, 256, 3, 1, 1, False),
    ]:
        if pooled:
            x = F.max_pool2d(x, 3, 2)
        x = conv(f"features.{place}", x, outputs, kernel, stride, padding)
        taps.append(x)
    return taps


def vgg16(x):
    taps = []
    for index, (outputs, places) in enumerate(
        [(64, [0, 2]), (128, [5, 7]), (256, [10, 12, 14]), (512, [17, 19, 21]), (512, [24, 26, 28])]
    ):
        if index > 0:
            x = F.max_pool2d(x, 2, 2)
        for place in places:
            x = conv(f"features.{place}", x, outputs, 3, 1, 1)
        taps.append(x)
    return taps


def squeezenet(x):
    def fire(place, x, squeezed, outputs):
        x = conv(f"features.{place}.squeeze", x, squeezed, 1)
        narrow = conv(f"features.{place}.expand1x1", x, outputs, 1)
        return torch.cat([narrow, conv(f"features.{place}.expand3x3", x, outputs, 3, 1, 1)], 1)

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    taps = [conv("features.0", x, 64, 3, 2)]
    taps.append(fire(4, fire(3, pool(taps[-1]), 16, 64), 16, 64))
    taps.append(fire(7, fire(6, pool(taps[-1]), 32, 128), 32, 128))
    taps.append(fire(9, pool(taps[-1]), 48, 192))
    taps.append(fire(10, taps[-1], 48, 192))
    taps.append(fire(11, taps[-1], 64, 256))
    taps.append(fire(12, taps[-1], 64, 256))
    return taps


def lpips(backbone, a, b):
    shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)

    def unit(x):
        return x / (torch.sqrt(torch.sum(x**2, dim=1, keepdim=True)) + 1e-10)

    total = 0
    maps = [backbone((x * 2 - 1 - shift) / scale) for x in (a, b)]
    for index, (x, y) in enumerate(zip(*maps)):
        head = tensor(f"lin{index}.model.1.weight", 1, x.shape[1], 1, 1)
        total = total + F.conv2d((unit(x) - unit(y)) ** 2, head).mean([2, 3])
    return total.reshape(-1)


def basic(name, x, outputs, kernel, stride=1, padding=0):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    x = F.conv2d(x, tensor(name + ".conv.weight", outputs, x.shape[1], *kernel), stride=stride, padding=padding)
    bn = [tensor(f"{name}.bn.{part}", outputs) for part in ("running_mean", "running_var", "weight", "bias")]
    return F.relu(F.batch_norm(x, *bn, eps=0.001))


def mean_pool(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def inception(x):
    x = F.interpolate(x, (299, 299), mode="bilinear", align_corners=False) * 2 - 1
    x = basic("Conv2d_1a_3x3", x, 32, 3, 2)
    x = basic("Conv2d_2a_3x3", x, 32, 3)
    x = basic("Conv2d_2b_3x3", x, 64, 3, 1, 1)
    x = F.max_pool2d(x, 3, 2)
    x = basic("Conv2d_3b_1x1", x, 80, 1)
    x = basic("Conv2d_4a_3x3", x, 192, 3)
    x = F.max_pool2d(x, 3, 2)
    for name, pooled in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)]:
        five = basic(f"{name}.branch5x5_2", basic(f"{name}.branch5x5_1", x, 48, 1), 64, 5, 1, 2)
        three = basic(f"{name}.branch3x3dbl_2", basic(f"{name}.branch3x3dbl_1", x, 64, 1), 96, 3, 1, 1)
        three = basic(f"{name}.branch3x3dbl_3", three, 96, 3, 1, 1)
        pool = basic(f"{name}.branch_pool", mean_pool(x), pooled, 1)
        x = torch.cat([basic(f"{name}.branch1x1", x, 64, 1), five, three, pool], 1)
    three = basic("Mixed_6a.branch3x3dbl_2", basic("Mixed_6a.branch3x3dbl_1", x, 64, 1), 96, 3, 1, 1)
    three = basic("Mixed_6a.branch3x3dbl_3", three, 96, 3, 2)
    x = torch.cat([basic("Mixed_6a.branch3x3", x, 384, 3, 2), three, F.max_pool2d(x, 3, 2)], 1)
    row, column = dict(kernel=(1, 7), padding=(0, 3)), dict(kernel=(7, 1), padding=(3, 0))
    for name, c in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)]:
        seven = basic(f"{name}.branch7x7_1", x, c, 1)
        seven = basic(f"{name}.branch7x7_2", seven, c, **row)
        seven = basic(f"{name}.branch7x7_3", seven, 192, **column)
        double = basic(f"{name}.branch7x7dbl_1", x, c, 1)
        double = basic(f"{name}.branch7x7dbl_2", double, c, **column)
        double = basic(f"{name}.branch7x7dbl_3", double, c, **row)
        double = basic(f"{name}.branch7x7dbl_4", double, c, **column)
        double = basic(f"{name}.branch7x7dbl_5", double, 192, **row)
        pool = basic(f"{name}.branch_pool", mean_pool(x), 192, 1)
        x = torch.cat([basic(f"{name}.branch1x1", x, 192, 1), seven, double, pool], 1)
    three = basic("Mixed_7a.branch3x3_2", basic("Mixed_7a.branch3x3_1", x, 192, 1), 320, 3, 2)
    seven = basic("Mixed_7a.branch7x7x3_1", x, 192, 1)
    seven = basic("Mixed_7a.branch7x7x3_2", seven, 192, **row)
    seven = basic("Mixed_7a.branch7x7x3_3", seven, 192, **column)
    seven = basic("Mixed_7a.branch7x7x3_4", seven, 192, 3, 2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    row, column = dict(kernel=(1, 3), padding=(0, 1)), dict(kernel=(3, 1), padding=(1, 0))
    for name, pool in [("Mixed_7b", mean_pool(x)), ("Mixed_7c", None)]:
        pool = F.max_pool2d(x, 3, 1, 1) if pool is None else pool
        three = basic(f"{name}.branch3x3_1", x, 384, 1)
        three = [basic(f"{name}.branch3x3_2a", three, 384, **row), basic(f"{name}.branch3x3_2b", three, 384, **column)]
        double = basic(f"{name}.branch3x3dbl_2", basic(f"{name}.branch3x3dbl_1", x, 448, 1), 384, 3, 1, 1)
        double = [
            basic(f"{name}.branch3x3dbl_3a", double, 384, **row),
            basic(f"{name}.branch3x3dbl_3b", double, 384, **column),
        ]
        one = basic(f"{name}.branch1x1", x, 320, 1)
        x = torch.cat([one, *three, *double, basic(f"{name}.branch_pool", pool, 192, 1)], 1)
    return x.mean([2, 3])


def write(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        end = at + 4 * values.numel()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, end]}
        at = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for values in tensors.values():
            file.write(values.contiguous().numpy().astype("<f4").tobytes())


with torch.no_grad():
    a, b = picture("a", 2, 3, 67, 75), picture("b", 2, 3, 67, 75)
    small = picture("small", 1, 2, 7, 10)
    write(
        "twins.safetensors",
        {
            "lpips.alexnet": lpips(alexnet, a, b),
            "lpips.vgg16": lpips(vgg16, a, b),
            "lpips.squeezenet": lpips(squeezenet, a, b),
            "inception": inception(picture("c", 2, 3, 50, 60)),
            "bilinear.up": F.interpolate(small, (16, 13), mode="bilinear", align_corners=False),
            "bilinear.down": F.interpolate(small, (4, 6), mode="bilinear", align_corners=False),
            "bicubic.up": F.interpolate(small, (16, 13), mode="bicubic", align_corners=False, antialias=True),
            "bicubic.down": F.interpolate(small, (3, 4), mode="bicubic", align_corners=False, antialias=True),
        },
    )
