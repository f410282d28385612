"""One-D-Piece-S-256 in PyTorch f32 with random weights: the yardstick for tessera's own timings.

    pip install torch
    python benches/peers/one_d_piece.py [--size small] [--tokens 256] [--repeat 5]

Prints one JSON line: seconds for import and build, the first and the median later encode and decode of one
256x256 picture, and the process's peak memory. Written from the published architecture; it loads no checkpoint.
"""

import argparse
import json
import resource
import statistics
import time

START = time.perf_counter()

import torch  # noqa: E402  (importing is part of what is measured)
from torch import nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

SIZES = {"small": (512, 8, 8), "base": (768, 12, 12), "large": (1024, 24, 16)}


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, n, w = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(b, n, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, w))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x))))


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, inputs, 1e-6), nn.GroupNorm(32, outputs, 1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(outputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x):
        r = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return r + (self.shortcut(r) if self.shortcut is not None else x)


class PixelDecoder(nn.Module):
    def __init__(self, mult=(1, 1, 2, 2, 4), hidden=128, z=256):
        super().__init__()
        width = [hidden * m for m in mult]
        self.conv_in = nn.Conv2d(z, width[-1], 3, padding=1)
        layers = [ResBlock(width[-1], width[-1]), ResBlock(width[-1], width[-1])]
        for level in reversed(range(len(mult))):
            inputs = width[-1] if level + 1 == len(mult) else width[level + 1]
            layers += [ResBlock(inputs, width[level]), ResBlock(width[level], width[level])]
            if level:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width[level], width[level], 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.norm_out, self.conv_out = nn.GroupNorm(32, width[0], 1e-6), nn.Conv2d(width[0], 3, 3, padding=1)

    def forward(self, x):
        return self.conv_out(F.silu(self.norm_out(self.layers(self.conv_in(x)))))


class OneDPiece(nn.Module):
    def __init__(self, size, latents=256, codes=4096, token=12, patch=16, grid=16):
        super().__init__()
        width, layers, heads = SIZES[size]
        self.grid, self.latents = grid, latents
        draw = lambda *shape: nn.Parameter(torch.randn(*shape) * width**-0.5)  # noqa: E731
        self.patch = nn.Conv2d(3, width, patch, patch)
        self.latent_tokens, self.latent_pos = draw(latents, width), draw(latents, width)
        self.cls, self.pos = draw(1, 1, width), draw(grid * grid + 1, width)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.conv_out = nn.Conv2d(width, token, 1)
        self.codebook = nn.Embedding(codes, token)
        self.embed = nn.Linear(token, width)
        self.d_cls, self.d_pos, self.d_latent_pos = draw(1, 1, width), draw(grid * grid + 1, width), draw(latents, width)
        self.mask = draw(1, 1, width)
        self.d_ln_pre, self.d_ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.d_blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.ffn = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, 1024, 1))
        self.pixel_codebook = nn.Embedding(1024, 256)
        self.pixels = PixelDecoder()

    def encode(self, image):
        b = image.shape[0]
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(b, -1, -1), x], 1) + self.pos
        x = torch.cat([x, (self.latent_tokens + self.latent_pos).expand(b, -1, -1)], 1)
        x = self.ln_post(self.blocks(self.ln_pre(x))[:, -self.latents :])
        z = self.conv_out(x.reshape(b, -1, self.latents, 1)).flatten(2).transpose(1, 2).reshape(-1, 12)
        z, e = F.normalize(z), F.normalize(self.codebook.weight)
        distance = z.pow(2).sum(1, keepdim=True) + e.pow(2).sum(1) - 2 * z @ e.T
        return distance.argmin(1).view(b, -1)

    def decode(self, ids):
        b, k = ids.shape
        x = self.embed(F.normalize(self.codebook(ids), dim=-1)) + self.d_latent_pos[:k]
        m = torch.cat([self.d_cls, self.mask.expand(1, self.grid**2, -1)], 1) + self.d_pos
        x = self.d_blocks(self.d_ln_pre(torch.cat([m.expand(b, -1, -1), x], 1)))
        x = self.d_ln_post(x[:, 1 : 1 + self.grid**2]).transpose(1, 2).reshape(b, -1, self.grid, self.grid)
        soft = torch.einsum("bkhw,kd->bdhw", self.ffn(x).softmax(1), self.pixel_codebook.weight)
        return self.pixels(soft)


def timed(function, repeat):
    seconds = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, seconds[0], statistics.median(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--tokens", type=int, default=256, help="tokens that are decoded")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = OneDPiece(options.size).eval()
    built = time.perf_counter() - START
    image = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        ids, encode_cold, encode = timed(lambda: model.encode(image), options.repeat)
        _, decode_cold, decode = timed(lambda: model.decode(ids[:, : options.tokens]), options.repeat)
    weights = sum(p.numel() * 4 for p in model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "torch": torch.__version__, "threads": torch.get_num_threads(), "build_s": round(built, 3),
        "encode_cold_s": round(encode_cold, 4), "encode_warm_s": round(encode, 4),
        "decode_cold_s": round(decode_cold, 4), "decode_warm_s": round(decode, 4),
        "weights_bytes": weights, "peak_bytes": peak,
    }))


if __name__ == "__main__":
    main()
