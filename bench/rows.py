"""The rows of compare.py: which scan at which shape, beside whom."""
from dataclasses import dataclass

import torch

# Lengths of one packed row, as FlashKDA's own benchmark has them.
UNEVEN = (1300, 547, 2048, 963, 271, 3063)


@dataclass(frozen=True)
class Shape:
    """`keys`: heads of what a case shares, if they are fewer."""

    lengths: tuple
    heads: int
    D: int = 128
    keys: int | None = None

    @property
    def equal(self):
        return len(set(self.lengths)) == 1

    @property
    def lead(self):
        """What stands in the place of batch and tokens: sequences of one length are a batch, others lie in one row."""
        return (len(self.lengths), self.lengths[0]) if self.equal else (1, sum(self.lengths))

    def offsets(self, device):
        ends = torch.tensor([0, *self.lengths]).cumsum(0)
        return None if self.equal else ends.to(device=device, dtype=torch.int32)

    def cut(self, most):
        """With sequences of at most so many tokens."""
        return Shape(tuple(min(n, most) for n in self.lengths), self.heads, self.D, self.keys)

    def draw(self, case):
        inputs = case.inputs(*self.lead, self.heads, self.D)
        return inputs if self.keys is None else {n: x[:, :, : self.keys].contiguous() if n in case.shared else x for n, x in inputs.items()}


@dataclass(frozen=True)
class Row:
    table: str
    name: str
    case: str
    shape: Shape
    #: One token for each sequence, from a state.
    step: bool = False

    @property
    def key(self):
        return f"{self.table}/{self.name}"


TITLES = {
    "peers": "Beside hand-written kernels: B=2 T=16384 H=16 D=128, bf16, ms",
    "wide": "More heads: B=1 T=8192 H=96 D=128, bf16, ms",
    "packed": f"Packed sequences: {', '.join(map(str, UNEVEN))} tokens, H=32 D=128, bf16, ms",
    "heads": "Gated delta whose heads share queries and keys: lengths, key heads / heads, bf16, ms",
    "kda": "KDA with its gate, norms and strength in the formula: lengths, heads, bf16, ms",
    "written": "Gates, norms, strengths and convolutions in the formula, beside the same scan with them given: B=2 T=16384 H=16, bf16, ms",
    "decode": "One token for each of B sequences, H=16 D=128, state in f32: ms as called, and in a CUDA graph",
}
PEERS = ("retention", "simple_gla", "gla", "delta_net", "gated_delta", "kda", "rwkv6", "rwkv7", "mamba2", "hgrn", "comba", "gdn2", "gsa")
HEADS = (
    ((32768,), 2, 8), ((16384,), 2, 8), ((8192,) * 4, 2, 8), ((4096,) * 8, 2, 8), ((2048,), 2, 8), ((32768,), 4, 16), ((16384,) * 2, 4, 16), ((8192,) * 4, 4, 16),
    ((4096,) * 8, 4, 16), ((32768,), 16, 64), ((8192,) * 4, 16, 64), ((4096,) * 8, 16, 64), ((2048,), 16, 64), ((1024,) * 8, 16, 64), ((28672, 4096), 16, 32),
)
KDA = (((8192,), 96), (UNEVEN, 96), ((1024,) * 8, 96), ((8192,), 64), ((16384,) * 2, 16), ((32768,), 8))
WRITTEN = ("kda", "gated_delta", "rwkv7", "mamba2", "mamba2_conv", "comba", "mlstm")
# mamba's step is another function of its library.
DECODED = tuple(name for name in PEERS if name != "mamba2")
BATCHES = (1, 8, 64, 256)


def lengths_text(lengths):
    return f"{len(lengths)}x{lengths[0]}" if len(set(lengths)) == 1 and len(lengths) > 1 else "+".join(map(str, lengths))


def rows():
    """All of them, the most telling first within a table."""
    common = Shape((16384, 16384), 16)
    made = [Row("peers", name, name, common) for name in PEERS]
    made += [Row("written", name, name, common) for name in WRITTEN]
    made += [Row("heads", f"{lengths_text(n)},{keys}/{heads}", "gated_delta", Shape(n, heads, keys=keys)) for n, keys, heads in HEADS]
    made += [Row("kda", f"{lengths_text(n)},{heads}", "kda", Shape(n, heads)) for n, heads in KDA]
    made += [Row("decode", f"{name},B={batch}", name, Shape((1,) * batch, 16), step=True) for name in DECODED for batch in BATCHES]
    made += [Row("packed", name, name, Shape(UNEVEN, 32)) for name in PEERS if name not in ("mamba2", "hgrn")]
    made += [Row("wide", name, name, Shape((8192,), 96)) for name in ("retention", "simple_gla", "gla", "gated_delta", "kda", "rwkv7")]
    return made
