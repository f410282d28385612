"""LlamaGen-B and NAR-B in PyTorch f32 with a cache of keys and values: the yardstick for tessera's own timings.

    pip install torch
    python benches/peers/decoder.py [--kind next-token|nar] [--batch 1] [--repeat 3]

Prints one JSON line: seconds to build, of the first and the median later sample of 16x16 tokens with guidance, tokens a
second, forward passes, and the process's peak memory. Weights are random. Written from the published architectures
(arXiv 2406.06525, arXiv 2503.10696).
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

DIM, LAYERS, HEADS, HIDDEN, CODES, CLASSES, SIDE = 768, 12, 12, 2048, 16384, 1000, 16


def angles():
    """Cosines and sines [1 + SIDE * SIDE, DIM / HEADS / 2]: zero for the condition, then row and column by position."""
    half = DIM // HEADS // 2
    speed = 10000 ** (-torch.arange(0, half, 2).float() / half)
    row, column = (place.reshape(-1, 1).float() for place in torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"))
    turn = torch.cat([row * speed, column * speed], 1)
    zero = torch.zeros(1, half)
    return torch.cat([zero, turn.cos()]), torch.cat([zero, turn.sin()])


def rotate(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        return F.rms_norm(x, (DIM,), self.weight, 1e-5)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        linear = lambda a, b: nn.Linear(a, b, bias=False)  # noqa: E731
        self.norm_1, self.norm_2 = Norm(), Norm()
        self.qkv, self.out = linear(DIM, 3 * DIM), linear(DIM, DIM)
        self.gate, self.up, self.down = linear(DIM, HIDDEN), linear(DIM, HIDDEN), linear(HIDDEN, DIM)

    def forward(self, x, cos, sin, slots, last):
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm_1(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        self.keys[:, :, slots], self.values[:, :, slots] = rotate(k, cos, sin), v
        keys, values = self.keys[:, :, :last], self.values[:, :, :last]
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), keys, values)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, DIM))
        n = self.norm_2(x)
        return x + self.down(F.silu(self.gate(n)) * self.up(n))


class Decoder(nn.Module):
    def __init__(self, neighbours):
        super().__init__()
        self.neighbours = neighbours
        self.classes, self.codes = nn.Embedding(CLASSES + 1, DIM), nn.Embedding(CODES, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS + neighbours))
        self.norms = nn.ModuleList(Norm() for _ in range(1 + neighbours))
        self.heads = nn.ModuleList(nn.Linear(DIM, CODES, bias=False) for _ in range(1 + neighbours))
        self.cos, self.sin = angles()
        if neighbours:
            order = [(row, d - row) for d in range(2 * SIDE - 1) for row in range(SIDE) if 0 <= d - row < SIDE]
            slots = torch.tensor([0] + [1 + row * SIDE + column for row, column in order])
            self.cos, self.sin = self.cos[slots], self.sin[slots]

    def clear(self, batch):
        for block in self.blocks:
            block.keys, block.values = (torch.zeros(batch, HEADS, 1 + SIDE * SIDE, DIM // HEADS) for _ in range(2))

    def forward(self, x, slots, last):
        """Logits of each head for the inputs at these slots, all of which see the first `last` of them."""
        found = []
        for index, block in enumerate(self.blocks):
            x = block(x, self.cos[slots], self.sin[slots], slots, last)
            if index >= LAYERS - 1:
                head = index - (LAYERS - 1)
                found.append(self.heads[head](self.norms[head](x)))
        return found

    def guided(self, x, slots, last, scale):
        logits = self(x if slots[0] == 0 else torch.cat([x, x]), slots, last)
        return [u + (c - u) * scale for c, u in (one.chunk(2) for one in logits)]

    def start(self, batch, scale):
        self.clear(2 * batch)
        labels = torch.cat([torch.full((batch,), 207), torch.full((batch,), CLASSES)])
        return self.guided(self.classes(labels)[:, None], torch.tensor([0]), 1, scale)

    def sample(self, batch, scale):
        return (self.diagonals if self.neighbours else self.line)(batch, scale)

    def line(self, batch, scale):
        """One token a pass."""
        (logits,) = self.start(batch, scale)
        ids = [draw(logits[:, -1])]
        for place in range(1, SIDE * SIDE):
            slots = torch.tensor([place])
            (logits,) = self.guided(self.codes(ids[-1])[:, None], slots, place + 1, scale)
            ids.append(draw(logits[:, -1]))
        return torch.stack(ids, 1), SIDE * SIDE

    def diagonals(self, batch, scale):
        """One anti-diagonal a pass; keys are kept in the order of decoding, so that a pass sees a prefix of them."""
        right, below = self.start(batch, scale)
        ids = torch.zeros(batch, SIDE, SIDE, dtype=torch.long)
        ids[:, 0, 0] = draw((right[:, -1] + below[:, -1]) / 2)
        order = [[(row, d - row) for row in range(SIDE) if 0 <= d - row < SIDE] for d in range(2 * SIDE - 1)]
        done = 1
        for d in range(1, 2 * SIDE - 1):
            rows, columns = (torch.tensor(places) for places in zip(*order[d - 1]))
            slots = torch.arange(done, done + len(rows))
            done += len(rows)
            right, below = self.guided(self.codes(ids[:, rows, columns]), slots, done, scale)
            middle = (below[:, :-1] + right[:, 1:]) / 2
            logits = torch.cat([right[:, :1], middle, below[:, -1:]], 1) if d < SIDE else middle
            rows, columns = (torch.tensor(places) for places in zip(*order[d]))
            ids[:, rows, columns] = draw(logits.flatten(0, 1)).view(batch, -1)
        return ids.flatten(1), 2 * SIDE - 1


def draw(logits):
    """From the 2000 most likely."""
    least = logits.topk(2000).values[:, -1:]
    return torch.multinomial(logits.masked_fill(logits < least, -torch.inf).softmax(-1), 1)[:, 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=["next-token", "nar"], default="next-token")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = Decoder(options.kind == "nar").eval()
    built = time.perf_counter() - START
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + options.repeat):
            start = time.perf_counter()
            _, passes = model.sample(options.batch, 4.0)
            seconds.append(time.perf_counter() - start)
    warm = statistics.median(seconds[1:]) if options.repeat else seconds[0]
    print(json.dumps({
        "build_s": built, "generate_cold_s": seconds[0], "generate_warm_s": warm, "passes": passes,
        "tokens_per_s": options.batch * SIDE * SIDE / warm, "threads": torch.get_num_threads(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "weights_bytes": sum(p.numel() * 4 for p in model.parameters()),
    }))


if __name__ == "__main__":
    main()
