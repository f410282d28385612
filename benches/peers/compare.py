"""tessera and PyTorch in turn on the same machine: ratios of time and memory (needs Linux and torch).

    cargo bench --no-default-features --bench one_d_piece --no-run
    python benches/peers/compare.py target/release/deps/one_d_piece-* [--rounds 5] [--size s]

Each round starts both programs anew, so that first runs are cold. Prints medians over the rounds and their ratios.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

SIZES = {"s": "small", "b": "base", "l": "large"}


def run(*command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", choices=SIZES, default="s")
    options = parser.parse_args()
    peer = pathlib.Path(__file__).with_name("one_d_piece.py")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.program, "--size", options.size, "--save", folder], check=True)
        for _ in range(options.rounds):
            ours.append(run(options.program, "--size", options.size, "--model", folder))
            theirs.append(run(sys.executable, str(peer), "--size", SIZES[options.size]))
    weights = theirs[0]["weights_bytes"]
    print(f"{'':24}{'tessera':>10}{'PyTorch':>10}{'ratio':>8}")

    def line(name, key):
        a, b = (statistics.median(key(one) for one in side) for side in (ours, theirs))
        print(f"{name:24}{a:10.3f}{b:10.3f}{a / b:8.2f}")

    line("encode, warm, s", lambda one: one["encode_warm_s"])
    line("decode, warm, s", lambda one: one["decode_warm_s"])
    line("start and encode, s", lambda one: one["build_s"] + one["encode_cold_s"])
    line("first decode, s", lambda one: one["decode_cold_s"])
    line("peak - weights, GB", lambda one: (one["peak_bytes"] - weights) / 1e9)


if __name__ == "__main__":
    main()
