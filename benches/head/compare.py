"""Training steps of the fusion network beside PyTorch, with the same shapes, in the same run.

    cargo bench --bench head --no-run          # with --features libtorch for cards
    python benches/head/compare.py --head target/release/deps/head-… [--device libtorch:cuda:0]

PyTorch trains the same network (four encoders, residual block, dropout of inputs and activations,
AdamW, Huber loss) on rows that stay on its device, in f32. Prints steps per second of both sides and
our validation loss beside that of Flex. Needs torch.
"""

import argparse
import json
import subprocess
import time

import torch
from torch import nn

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--head", required=True, help="the built bench")
arguments.add_argument("--device", default="flex")
arguments.add_argument("--rows", type=int, default=100_000)
arguments.add_argument("--width", type=int, default=4_096)
arguments = arguments.parse_args()

BLOCKS, HIDDEN, DROPOUT, INPUT_DROPOUT = 4, 64, 0.3, 0.3


class Fusion(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Dropout(INPUT_DROPOUT), nn.Linear(width, HIDDEN), nn.LayerNorm(HIDDEN), nn.GELU())
            for _ in range(BLOCKS)
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.mix = nn.Linear(HIDDEN * BLOCKS, HIDDEN)
        self.wide = nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 2 * HIDDEN), nn.GELU(), nn.Dropout(DROPOUT),
                                  nn.Linear(2 * HIDDEN, HIDDEN))
        self.last = nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, 1))

    def forward(self, rows):
        parts = rows.chunk(BLOCKS, dim=1)
        state = self.mix(self.dropout(torch.cat([encode(part) for encode, part in zip(self.encoders, parts)], 1)))
        return self.last(state + self.wide(state))


def ours(device):
    words = ["--device", device, "--rows", str(arguments.rows), "--width", str(arguments.width)]
    done = subprocess.run([arguments.head, *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def pytorch(device, train_rows, batch):
    """Steps per second of the fastest of three epochs."""
    torch.manual_seed(7)
    rows = torch.randn(train_rows, arguments.width, device=device)
    targets = torch.randn(train_rows, 1, device=device)
    model = Fusion(arguments.width // BLOCKS).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    rates = []
    for _ in range(4):
        started = time.perf_counter()
        order = torch.randperm(train_rows, device=device)
        steps = 0
        for first in range(0, train_rows, batch):
            chosen = order[first : first + batch]
            loss = nn.functional.huber_loss(model(rows[chosen]), targets[chosen], delta=1.5)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        if device != "cpu":
            torch.cuda.synchronize()
        rates.append(steps / (time.perf_counter() - started))
    return max(rates[1:])


found = ours(arguments.device)
flex = found if arguments.device == "flex" else ours("flex")
card = arguments.device.removeprefix("libtorch:") if "cuda" in arguments.device else "cpu"
beside = pytorch(card, found["train_rows"], found["batch"])
print(f"fusion head, {arguments.rows} x {arguments.width}, {found['train_rows']} training rows, batch {found['batch']}")
print(f"  trendmill {arguments.device:<20} {found['steps_per_second']:>9.1f} steps/s   "
      f"{found['steps_per_second'] / beside:.2f} x")
print(f"  PyTorch {card:<22} {beside:>9.1f} steps/s   1.00 x")
print(f"  validation loss {found['validation_loss']:.5f}, on Flex {flex['validation_loss']:.5f} "
      f"({found['validation_loss'] / flex['validation_loss'] - 1:+.2%})")
