"""FlexTok d12-d12 in PyTorch f32: the yardstick for tessera's own timings.

    pip install torch
    python benches/peers/flextok.py [--model FOLDER] [--tokens 256] [--steps 20] [--repeat 5]
    python benches/peers/flextok.py --check FOLDER

Prints one JSON line: seconds for import and build, the first and the median later encode and decode of one 256x256
picture, one guided step (`velocity_warm_s`), the autoencoder's decoder, and the process's peak memory. Weights are random,
or those of a checkpoint with its config.json. `--check` compares with a recorded conformance case instead.
Written from the published architecture (arXiv 2502.13967).
"""

import argparse
import functools
import json
import math
import pathlib
import resource
import statistics
import time
import types

START = time.perf_counter()

import torch  # noqa: E402  (importing is part of what is measured)
from torch import nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

VAE = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32}
D12 = types.SimpleNamespace(
    vae=VAE, channels=16, scale=1.0, levels=[8, 8, 8, 5, 5, 5], registers=256, patch=2, grid=[16, 16],
    encoder=(768, 12, 64), decoder=(768, 12, 64), frequencies=256, max_timestep=1000.0,
)
TYPES = {"F32": torch.float32, "I64": torch.int64}


def settings(folder):
    """What a config.json says."""
    document = json.loads((folder / "config.json").read_text())
    enc, dec, vae = document["encoder"]["module_dict"], document["decoder"]["module_dict"], document["vae"]
    network = vae.get("architecture") or VAE
    if vae.get("hf_hub_path"):
        network = json.loads((folder / vae["hf_hub_path"] / "config.json").read_text())
    patches, time_embedder = enc["enc_patch_emb"], dec["dec_time_embedder"]
    trunk = lambda part: (part["dim"], part["depth"], part.get("head_dim", 64))  # noqa: E731
    return types.SimpleNamespace(
        vae=network, channels=patches["channels_in"], scale=vae.get("scaling_factor") or network["scaling_factor"],
        levels=document["regularizer"]["levels"], registers=enc["enc_register_module"]["n_max"],
        patch=patches["patch_sizes"][0], grid=enc["enc_posemb_module"]["max_sizes"],
        encoder=trunk(enc["enc_transformer"]), decoder=trunk(dec["dec_transformer"]),
        frequencies=time_embedder["frequency_embedding_size"], max_timestep=time_embedder["max_timestep"],
    )


def tensors(path):
    """All tensors of a safetensors file."""
    found = {}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
        for name, entry in header.items():
            if name != "__metadata__":
                found[name] = torch.empty(entry["shape"], dtype=TYPES[entry["dtype"]])
                file.seek(start + entry["data_offsets"][0])
                file.readinto(found[name].view(-1).numpy())
    return found


# The autoencoder, under the names of diffusers' AutoencoderKL.


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs, groups):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, inputs, 1e-6), nn.GroupNorm(groups, outputs, 1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        r = self.conv1(F.silu(self.norm1(x), inplace=True))
        r = self.conv2(F.silu(self.norm2(r), inplace=True))
        return r.add_(x if self.conv_shortcut is None else self.conv_shortcut(x))


class PixelAttention(nn.Module):
    def __init__(self, width, groups):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, 1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x):
        pixels = self.group_norm(x).flatten(2).transpose(1, 2).unsqueeze(1)
        y = F.scaled_dot_product_attention(self.to_q(pixels), self.to_k(pixels), self.to_v(pixels))
        return x + self.to_out[0](y.squeeze(1)).transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    def __init__(self, width, groups):
        super().__init__()
        self.resnets = nn.ModuleList([ResBlock(width, width, groups) for _ in range(2)])
        self.attentions = nn.ModuleList([PixelAttention(width, groups)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Level(nn.Module):
    """Residual blocks, then half or double the size."""

    def __init__(self, inputs, width, blocks, groups, halves=False, doubles=False):
        super().__init__()
        sizes = [inputs] + [width] * blocks
        self.resnets = nn.Sequential(*[ResBlock(a, b, groups) for a, b in zip(sizes, sizes[1:])])
        if halves:
            self.downsamplers = nn.ModuleList([nn.ModuleDict({"conv": nn.Conv2d(width, width, 3, 2)})])
        if doubles:
            self.upsamplers = nn.ModuleList([nn.ModuleDict({"conv": nn.Conv2d(width, width, 3, padding=1)})])
        self.halves, self.doubles = halves, doubles

    def forward(self, x):
        x = self.resnets(x)
        if self.halves:
            x = self.downsamplers[0]["conv"](F.pad(x, (0, 1, 0, 1)))
        if self.doubles:
            x = self.upsamplers[0]["conv"](F.interpolate(x, scale_factor=2))
        return x


class VaeEncoder(nn.Module):
    def __init__(self, widths, blocks, groups, outputs):
        super().__init__()
        last = len(widths) - 1
        levels = enumerate(zip(widths[:1] + widths, widths))
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.Sequential(*[Level(a, b, blocks, groups, halves=i < last) for i, (a, b) in levels])
        self.mid_block, self.conv_norm_out = Middle(widths[-1], groups), nn.GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def forward(self, x):
        x = self.mid_block(self.down_blocks(self.conv_in(x)))
        return self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))


class VaeDecoder(nn.Module):
    def __init__(self, widths, blocks, groups, inputs):
        super().__init__()
        widths, last = widths[::-1], len(widths) - 1
        levels = enumerate(zip(widths[:1] + widths, widths))
        self.conv_in = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.mid_block = Middle(widths[0], groups)
        self.up_blocks = nn.Sequential(*[Level(a, b, blocks, groups, doubles=i < last) for i, (a, b) in levels])
        self.conv_norm_out, self.conv_out = nn.GroupNorm(groups, widths[-1], 1e-6), nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, x):
        x = self.up_blocks(self.mid_block(self.conv_in(x)))
        return self.conv_out(F.silu(self.conv_norm_out(x), inplace=True))


class Vae(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        widths, blocks, groups = (config[key] for key in VAE)
        self.encoder = VaeEncoder(widths, blocks, groups, 2 * channels)
        self.decoder = VaeDecoder(widths, blocks + 1, groups, channels)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1), nn.Conv2d(channels, channels, 1)

    def encode(self, image, noise=None):
        """The posterior's mean, or a draw from it."""
        mean, logvar = self.quant_conv(self.encoder(image)).chunk(2, 1)
        return mean if noise is None else mean + torch.exp(logvar.clamp(-30, 20) / 2) * noise

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))


# The two transformers, under the names of the release.


def parameters(**shapes):
    return nn.ParameterDict({name: nn.Parameter(torch.randn(shape) * 0.02) for name, shape in shapes.items()})


def norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


@functools.cache
def causal_last(patches, registers):
    """True where a query (row) sees a key: all patches, and registers up to itself."""
    index = torch.arange(patches + registers)
    return (index < patches) | (index <= index[:, None])


class Block(nn.Module):
    def __init__(self, dim, head_dim, modulated):
        super().__init__()
        hidden = 8 * dim // 3
        linear = functools.partial(nn.Linear, bias=False)
        self.head_dim = head_dim
        self.attn = nn.ModuleDict({name: linear(dim, dim) for name in ("wq", "wk", "wv", "proj")})
        self.mlp = nn.ModuleDict({"fc1": linear(dim, hidden), "fc2": linear(hidden, dim), "fc3": linear(dim, hidden)})
        if modulated:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 12 * dim))

    def attend(self, x, mask=None):
        q, k, v = (self.attn[name](x).unflatten(2, (-1, self.head_dim)) for name in ("wq", "wk", "wv"))
        q, k, v = norm(q).transpose(1, 2), norm(k).transpose(1, 2), v.transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, mask, scale=8 / self.head_dim)
        return self.attn["proj"](y.transpose(1, 2).flatten(2))

    def feed(self, x):
        return self.mlp["fc2"](F.silu(self.mlp["fc1"](x), inplace=True).mul_(self.mlp["fc3"](x)))

    def forward(self, x, mask):
        x = x + self.attend(norm(x), mask)
        return x.add_(self.feed(norm(x)))

    def modulated(self, x, time, patches):
        """As `forward`, with patches and registers modulated each by their own numbers; changes `x`."""
        gate_attn, gate_mlp, *others = self.adaLN_modulation(time).view(2, 6, -1).unbind(1)
        shift_attn, scale_attn, shift_mlp, scale_mlp = others
        kinds = slice(None, patches), slice(patches, None)

        def shifted(shift, scale):
            y = norm(x)
            for kind, rows in enumerate(kinds):
                y[:, rows].mul_(1 + scale[kind]).add_(shift[kind])
            return y

        def add(gate, y):
            for kind, rows in enumerate(kinds):
                x[:, rows].addcmul_(gate[kind], y[:, rows])

        add(gate_attn, self.attend(shifted(shift_attn, scale_attn)))
        add(gate_mlp, self.feed(shifted(shift_mlp, scale_mlp)))
        return x


def to_patches(latents, patch):
    b, c, h, w = latents.shape
    x = latents.view(b, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, -1, patch * patch * c)


def from_patches(x, patch, shape):
    _, c, h, w = shape
    x = x.view(-1, h // patch, w // patch, patch, patch, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(-1, c, h, w)


def positions(table, latents, patch):
    h, w = (side // patch for side in latents.shape[2:])
    return table[:, :, :h, :w].flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, depth, head_dim = config.encoder
        self.patch = config.patch
        self.module_dict = nn.ModuleDict({
            "enc_patch_emb": nn.ModuleDict({"patch_proj": nn.Linear(config.channels * config.patch**2, dim)}),
            "enc_posemb_module": parameters(posembs=(1, dim, *config.grid)),
            "enc_register_module": parameters(registers=(config.registers, dim)),
            "enc_transformer": nn.ModuleDict({"blocks": nn.ModuleList([Block(dim, head_dim, False) for _ in range(depth)])}),
            "enc_to_latents": nn.ModuleDict({"proj": nn.Linear(dim, len(config.levels))}),
        })

    def forward(self, latents):
        part = self.module_dict
        x = part["enc_patch_emb"]["patch_proj"](to_patches(latents, self.patch))
        x = x + positions(part["enc_posemb_module"]["posembs"], latents, self.patch)
        patches, registers = x.shape[1], part["enc_register_module"]["registers"]
        x = torch.cat([x, registers.expand(len(x), -1, -1)], 1)
        mask = causal_last(patches, len(registers))
        for block in part["enc_transformer"]["blocks"]:
            x = block(x, mask)
        return part["enc_to_latents"]["proj"](norm(x[:, patches:]))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, depth, head_dim = config.decoder
        patch_dim = config.channels * config.patch**2
        self.patch, self.frequencies, self.max_timestep = config.patch, config.frequencies, config.max_timestep
        self.module_dict = nn.ModuleDict({
            "dec_from_latents": nn.ModuleDict({"proj": nn.Linear(len(config.levels), dim)}),
            "dec_registers_posemb_module": parameters(posembs=(1, 1, dim, config.registers)),
            "dec_nested_dropout": parameters(dropout_mask_token=(dim,)),
            "dec_latent_dropout": parameters(nullcond=(dim,)),
            "dec_noise_patch_emb": nn.ModuleDict({"patch_proj": nn.Linear(patch_dim, dim)}),
            "dec_patches_posemb_module": parameters(posembs=(1, dim, *config.grid)),
            "dec_time_embedder": nn.ModuleDict({
                "mlp": nn.Sequential(nn.Linear(config.frequencies, dim), nn.SiLU(), nn.Linear(dim, dim)),
            }),
            "dec_transformer": nn.ModuleDict({"blocks": nn.ModuleList([Block(dim, head_dim, True) for _ in range(depth)])}),
            "dec_to_patches": nn.ModuleDict({
                "adaLN_modulation": nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim)),
                "proj": nn.Linear(dim, patch_dim),
            }),
        })

    def registers(self, codes, keep):
        """Registers of which the first `keep` are the codes', and those without a condition behind them."""
        part = self.module_dict
        x = part["dec_from_latents"]["proj"](codes) + part["dec_registers_posemb_module"]["posembs"][0, 0].T
        x[:, keep:] = part["dec_nested_dropout"]["dropout_mask_token"]
        return torch.cat([x, part["dec_latent_dropout"]["nullcond"].expand_as(x)])

    def velocity(self, x, registers, t):
        """Velocities at `x`, for as many conditions as `registers` has: `[conditions * batch, channels, h, w]`."""
        part = self.module_dict
        half = self.frequencies // 2
        angles = t * 1000 / self.max_timestep * torch.exp(torch.arange(half) * (-math.log(256) / half))
        waves = F.pad(torch.cat([angles.cos(), angles.sin()]), (0, self.frequencies % 2))
        time = part["dec_time_embedder"]["mlp"](waves)  # all rows are at one time
        shape = x.shape
        patches = part["dec_noise_patch_emb"]["patch_proj"](to_patches(x, self.patch))
        patches = patches + positions(part["dec_patches_posemb_module"]["posembs"], x, self.patch)
        count = patches.shape[1]
        x = torch.cat([patches.repeat(len(registers) // len(x), 1, 1), registers], 1)
        for block in part["dec_transformer"]["blocks"]:
            x = block.modulated(x, time, count)
        head = part["dec_to_patches"]
        shift, scale = head["adaLN_modulation"](time).chunk(2)
        x = head["proj"](norm(x[:, :count]).mul_(1 + scale).add_(shift))
        return from_patches(x, self.patch, shape)


class FlexTok(nn.Module):
    """Pictures are in -1..=1."""

    def __init__(self, config=D12):
        super().__init__()
        self.scale, self.levels = config.scale, config.levels
        self.vae = nn.ModuleDict({"vae": Vae(config.vae, config.channels)})
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    @classmethod
    def load(cls, folder):
        with torch.device("meta"):
            model = cls(settings(folder))
        model.load_state_dict(tensors(folder / "model.safetensors"), assign=True)
        return model

    def fsq(self):
        """Levels, halves of them, and what a step of each dimension adds to an index."""
        levels = torch.tensor(self.levels)
        return levels, levels // 2, torch.tensor([1] + self.levels[:-1]).cumprod(0)

    def latents(self, image, noise=None):
        return self.vae["vae"].encode(image, noise) * self.scale

    def encode(self, image, noise=None):
        z = self.encoder(self.latents(image, noise))
        levels, middle, basis = self.fsq()
        half, offset = (levels - 1) * 1.001 / 2, (1 - levels % 2) / 2
        codes = torch.round(torch.tanh(z + torch.atanh(offset / half)) * half - offset).long()
        return ((codes + middle) * basis).sum(-1)

    def codes(self, ids):
        levels, middle, basis = self.fsq()
        return (ids[..., None] // basis % levels - middle) / middle

    def sample(self, ids, keep, steps, noise, guidance=7.5, momentum=-0.5, threshold=2.5):
        """Latents after Euler steps with adaptive projected guidance (arXiv 2410.02416, eta 0)."""
        registers = self.decoder.registers(self.codes(ids), keep)
        x, running = noise, 0
        for step in range(steps, 0, -1):
            cond, uncond = self.decoder.velocity(x, registers, step / steps).chunk(2)
            running = cond - uncond + momentum * running
            length = running.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            diff = running * (threshold / length).clamp(max=1)
            along = F.normalize(cond.flatten(1).double(), dim=1).view_as(cond)
            parallel = (diff * along).sum((1, 2, 3), keepdim=True) * along
            x = x - (cond + (guidance - 1) * (diff - parallel).float()) / steps
        return x

    def pictures(self, latents):
        return self.vae["vae"].decode(latents / self.scale)

    def decode(self, ids, keep, steps, noise):
        return self.pictures(self.sample(ids, keep, steps, noise))


def check(folder):
    """Prints how far the network is from a recorded case."""
    model = FlexTok.load(folder).eval()
    inputs, expected = (tensors(folder / f"{name}.safetensors") for name in ("inputs", "expected"))
    guidance = json.loads((folder / "guidance.json").read_text())
    steps, keep, noise, ids = guidance["steps"], guidance["keep_k"][1], inputs["noise"], expected["tokens"]
    projected = guidance["apg_scale"], guidance["apg_momentum"], guidance["apg_norm_threshold"]
    with torch.inference_mode():
        cond, uncond = model.decoder.velocity(noise, model.decoder.registers(model.codes(ids), keep), 0.75).chunk(2)
        found = {
            "vae.latents": model.latents(inputs["image"], inputs.get("posterior_noise")),
            "tokens": model.encode(inputs["image"], inputs.get("posterior_noise")),
            "single.cond.velocity": cond,
            "single.uncond.velocity": uncond,
        }
        for keep in guidance["keep_k"]:
            latents = model.sample(ids, keep, steps, noise, *projected)
            found[f"decode.k{keep}.apg.reconstruction"] = model.pictures(latents)
    for name, value in found.items():
        difference, largest = (value - expected[name]).abs().max().item(), expected[name].abs().max().item()
        print(f"{name:32} largest difference {difference:.2e}, largest value {largest:.2e}")


def timed(function, repeat):
    seconds = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, seconds[0], statistics.median(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, help="folder of a checkpoint; random weights without it")
    parser.add_argument("--check", type=pathlib.Path, help="folder of a recorded case")
    parser.add_argument("--tokens", type=int, default=256, help="tokens that are decoded")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.check:
        return check(options.check)
    torch.manual_seed(0)
    model = (FlexTok.load(options.model) if options.model else FlexTok()).eval()
    built = time.perf_counter() - START
    image = torch.rand(1, 3, 256, 256) * 2 - 1
    noise = torch.randn(1, 16, 32, 32)
    with torch.inference_mode():
        ids, encode_cold, encode = timed(lambda: model.encode(image), options.repeat)
        decode = lambda: model.decode(ids, options.tokens, options.steps, noise)  # noqa: E731
        _, decode_cold, decode = timed(decode, options.repeat)
        latents, _, velocity = timed(lambda: model.sample(ids, options.tokens, 1, noise), options.repeat)
        _, _, picture = timed(lambda: model.pictures(latents), options.repeat)
    weights = sum(p.numel() * 4 for p in model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "torch": torch.__version__, "threads": torch.get_num_threads(), "build_s": round(built, 3),
        "encode_cold_s": round(encode_cold, 4), "encode_warm_s": round(encode, 4),
        "decode_cold_s": round(decode_cold, 4), "decode_warm_s": round(decode, 4),
        "velocity_warm_s": round(velocity, 4), "vae_decode_warm_s": round(picture, 4),
        "weights_bytes": weights, "peak_bytes": peak,
    }))


if __name__ == "__main__":
    main()
