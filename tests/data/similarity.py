"""The numbers that tests/eval.rs expects, computed with PyTorch convolutions in float64.

Follows the definitions of Wang et al. 2004 and 2003 with the conventions of pytorch-msssim (which is not needed to run
this): each of the three channels apart, valid 11x11 Gaussian windows of sigma 1.5, population variances, average pooling
that pads odd sides with a counted zero, negative means cut off at 0.
"""

import torch
import torch.nn.functional as F


def pictures(height, width):
    """Two pictures by whole-number arithmetic, the second a disturbed copy of the first."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    first = torch.stack([(x * 3 + y * 2) % 256, (x * x // 40 + y * 5) % 256, (x * y // 16 + 77) % 256])
    noise = torch.stack([(x * 31 + y * 17) % 41, (x * 13 + y * 29) % 23, (x * 7 + y * 3) % 61])
    second = ((first * 7) // 8 + noise).clamp(0, 255)
    return first[None].double(), second[None].double()


def blur(x):
    taps = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(taps**2) / (2 * 1.5**2))
    window = (window / window.sum()).repeat(3, 1)
    x = F.conv2d(x, window[:, None, :, None], groups=3)
    return F.conv2d(x, window[:, None, None, :], groups=3)


def similarity(a, b):
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    cs = (2 * cov + c2) / (va + vb + c2)
    ssim = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * cs
    return ssim.mean((2, 3)), cs.mean((2, 3))


def ssim(a, b):
    return similarity(a, b)[0].mean().item()


def ms_ssim(a, b):
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    product = torch.ones(1, 3, dtype=torch.float64)
    for level, weight in enumerate(weights):
        full, cs = similarity(a, b)
        product = product * torch.relu(full if level == 4 else cs) ** weight
        padding = [side % 2 for side in a.shape[2:]]
        a, b = (F.avg_pool2d(x, 2, padding=padding) for x in (a, b))
    return product.mean().item()


for height, width in [(11, 11), (40, 64), (161, 161), (176, 203)]:
    a, b = pictures(height, width)
    more = f"Some({ms_ssim(a, b):.12f})" if min(height, width) >= 161 else "None"
    print(f"({width}, {height}, {ssim(a, b):.12f}, {more}),")
