"""tessera and PyTorch in turn on the same machine: ratios of time and memory (needs Linux and torch).

    cargo bench --no-default-features --bench one_d_piece --no-run
    python benches/peers/compare.py target/release/deps/one_d_piece-* [--rounds 5] [--size s]
    cargo bench --no-default-features --bench flextok --no-run
    python benches/peers/compare.py --peer flextok target/release/deps/flextok-* [--rounds 3] [--tokens 256] [--steps 20]
    cargo bench --no-default-features --bench decoder --no-run
    python benches/peers/compare.py --peer decoder target/release/deps/decoder-* [--kind nar] [--batch 4]

Each round starts both programs anew, so that first runs are cold. Prints medians over the rounds and their ratios. Of
FlexTok both sides open the same checkpoint; of One-D-Piece PyTorch draws its weights; of generators both sides do.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

SIZES = {"s": "small", "b": "base", "l": "large"}
# Name and the keys whose sum it is.
LINES = {
    "encode, warm, s": ["encode_warm_s"],
    "decode, warm, s": ["decode_warm_s"],
    "guided step, warm, s": ["velocity_warm_s"],
    "VAE decode, warm, s": ["vae_decode_warm_s"],
    "start and encode, s": ["build_s", "encode_cold_s"],
    "first decode, s": ["decode_cold_s"],
    "generate, warm, s": ["generate_warm_s"],
    "start and generate, s": ["build_s", "generate_cold_s"],
    "tokens/s, warm": ["tokens_per_s"],
    "forward passes": ["passes"],
}
# What each peer is told, beside how often it runs.
OPTIONS = {"one_d_piece": ["tokens"], "flextok": ["tokens", "steps"], "decoder": ["kind", "batch"]}


def run(*command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--peer", choices=OPTIONS, default="one_d_piece")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=SIZES, default="s", help="of One-D-Piece")
    parser.add_argument("--steps", help="of FlexTok")
    parser.add_argument("--tokens")
    parser.add_argument("--kind", help="of generators: next-token or nar")
    parser.add_argument("--batch", help="of generators")
    parser.add_argument("--repeat", help="warm runs in each round")
    options = parser.parse_args()
    names = OPTIONS[options.peer] + ["repeat"]
    both = [word for name in names if getattr(options, name) for word in (f"--{name}", getattr(options, name))]
    peer = [sys.executable, str(pathlib.Path(__file__).with_name(f"{options.peer}.py"))]
    sizes = {"one_d_piece": (["--size", options.size], ["--size", SIZES[options.size]])}
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        here, there = sizes.get(options.peer, ([], []))
        if options.peer != "decoder":
            subprocess.run([options.program, *here, "--save", folder], check=True)
            here = [*here, "--model", folder]
        if options.peer == "flextok":
            there = ["--model", folder]
        for _ in range(options.rounds):
            ours.append(run(options.program, *here, *both))
            theirs.append(run(*peer, *there, *both))
    print(f"{'':24}{'tessera':>10}{'PyTorch':>10}{'ratio':>8}")

    def line(name, value):
        a, b = (statistics.median(value(one) for one in side) for side in (ours, theirs))
        print(f"{name:24}{a:10.3f}{b:10.3f}{a / b:8.2f}")

    for name, keys in LINES.items():
        if all(key in side[0] for key in keys for side in (ours, theirs)):
            line(name, lambda one: sum(one[key] for key in keys))
    weights = theirs[0]["weights_bytes"]
    line("peak - weights, GB", lambda one: (one["peak_bytes"] - weights) / 1e9)


if __name__ == "__main__":
    main()
