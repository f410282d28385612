"""Training steps of tessera and of the same network in PyTorch f32, in turn on the same machine: ratio of images a second.

    pip install torch
    cargo build --release --no-default-features
    python benches/peers/train_one_d_piece.py target/release/tessera train.toml [--rounds 3] [--steps 20] [--threads 2]

`train.toml` is a configuration of `tessera train` for a single-stage model without perceptual and adversarial terms.
Both sides decode, quantize, step AdamW and average the weights; PyTorch gets its pictures from memory.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import tomllib

import torch
import torch.nn.functional as F
from torch import nn

from one_d_piece import Block


class Twin(nn.Module):
    """A single-stage One-D-Piece with latent tokens that start from a fixed mix of patches."""

    def __init__(self, model, crop):
        super().__init__()
        enc, dec = ([model[f"vit_{side}_{key}"] for key in ("width", "layers", "heads", "patch_size")] for side in ("enc", "dec"))
        self.latents, token, self.patch = model["num_latent_tokens"], model["token_size"], dec[3]
        self.cells, self.l2 = (crop // dec[3]) ** 2, model["use_l2_norm"]
        draw = lambda *shape: nn.Parameter(torch.randn(*shape) * shape[-1] ** -0.5)  # noqa: E731
        width = enc[0]
        self.embed = nn.Conv2d(3, width, enc[3], enc[3])
        self.latent_tokens, self.pos, self.cls = draw(self.latents, width), draw(self.cells + 1, width), draw(1, 1, width)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.encoder = nn.Sequential(*[Block(width, enc[2]) for _ in range(enc[1])])
        self.out = nn.Linear(width, token)
        self.codebook = nn.Embedding(model["codebook_size"], token)
        width = dec[0]
        self.decoder_embed, self.mask = nn.Linear(token, width), draw(1, 1, width)
        self.d_latent, self.d_pos, self.d_cls = draw(self.latents, width), draw(self.cells + 1, width), draw(1, 1, width)
        self.d_ln_pre, self.d_ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.decoder = nn.Sequential(*[Block(width, dec[2]) for _ in range(dec[1])])
        self.pixels, self.conv_out = nn.Linear(width, self.patch**2 * 3), nn.Conv2d(3, 3, 3, padding=1)
        self.register_buffer("mix", torch.linalg.qr(torch.randn(self.cells, self.cells))[0][: self.latents])

    def loss(self, image, keep):
        b, grid = len(image), int(self.cells**0.5)
        x = self.embed(image).flatten(2).transpose(1, 2)
        start = self.latent_tokens + self.mix @ x
        x = torch.cat([torch.cat([self.cls.expand(b, -1, -1), x], 1) + self.pos, start], 1)
        z = self.out(self.ln_post(self.encoder(self.ln_pre(x))[:, -self.latents :]))
        z = F.normalize(z, dim=-1) if self.l2 else z
        codes = F.normalize(self.codebook.weight, dim=-1) if self.l2 else self.codebook.weight
        with torch.no_grad():
            flat = z.flatten(0, 1)
            ids = (codes.pow(2).sum(1) - 2 * flat @ codes.T).argmin(1)
        e = codes[ids].view_as(z)
        quantizer = 0.25 * (e.detach() - z).pow(2).mean() + (e - z.detach()).pow(2).mean()
        x = self.decoder_embed((z + (e - z).detach())[:, :keep])
        m = self.mask + self.mix[:keep].T @ x
        x = torch.cat([torch.cat([self.d_cls.expand(b, -1, -1), m], 1) + self.d_pos, x + self.d_latent[:keep]], 1)
        x = self.pixels(self.d_ln_post(self.decoder(self.d_ln_pre(x))[:, 1 : 1 + self.cells]))
        x = x.view(b, grid, grid, self.patch, self.patch, 3).permute(0, 5, 1, 3, 2, 4).reshape(image.shape)
        return (self.conv_out(x) - image).pow(2).mean() + quantizer


def pytorch(model, crop, batch, steps):
    torch.manual_seed(0)
    twin = Twin(model, crop)
    optimizer = torch.optim.AdamW(twin.parameters(), 1e-4, (0.9, 0.99), weight_decay=1e-4, foreach=True)
    average = [p.detach().clone() for p in twin.parameters()]
    keeps = torch.randint(1, twin.latents + 1, (steps,)).tolist()
    seconds = []
    for keep in keeps:
        start = time.perf_counter()
        loss = twin.loss(torch.rand(batch, 3, crop, crop), keep)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in twin.parameters()], 0.001)
        seconds.append(time.perf_counter() - start)
    return batch * (steps - 5) / sum(seconds[5:])


def tessera(program, config, steps, threads):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", config, "--out", folder, "--device", "cpu", "--quiet", "--log-every", "5", "--free-steps", "0"]
        command += ["--steps", str(steps), "--validate-every", "1000000", "--validation-pictures", "1", "--sample-pictures", "0"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "RAYON_NUM_THREADS": str(threads)})
        lines = [json.loads(line) for line in open(f"{folder}/metrics.jsonl")]
    speeds = [line["images_per_second"] for line in lines if line["kind"] == "train"][1:]
    return len(speeds) / sum(1 / speed for speed in speeds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("config")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = tomllib.load(open(options.config, "rb"))
    architecture = json.load(open(pathlib.Path(options.config).parent / settings["model"]["architecture"]))
    model, crop = architecture["model"]["vq_model"], architecture["dataset"]["preprocessing"]["crop_size"]
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(tessera(options.program, options.config, options.steps, options.threads))
        theirs.append(pytorch(model, crop, settings["run"]["batch_size"], options.steps))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"images a second: tessera {a:.1f}, PyTorch {b:.1f}, ratio {a / b:.2f}; rounds {ours} {theirs}")


if __name__ == "__main__":
    main()
