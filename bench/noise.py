"""Keys of draws: what every host of kernels makes of a seed and the place of a draw (src/support/noise.ts)."""

WORD = 0xFFFFFFFF


def philox(counter, key):
    """Four words of a counter of four and a key of two: Philox 4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers,
    as easy as 1, 2, 3)."""
    (x0, x1, x2, x3), (k0, k1) = counter, key
    for _ in range(10):
        a, b = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (b >> 32) ^ x1 ^ k0, b & WORD, (a >> 32) ^ x3 ^ k1, a & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return x0, x1, x2, x3


def key_of(seed, path, *words):
    """Every letter of the path counts, and every word after it."""
    key, all_words = (seed & WORD, seed >> 32), [len(path), *map(ord, path), *words]
    for word in all_words:
        key = philox((word & WORD, word >> 32, len(all_words), 0), key)[:2]
    return key


def halves_of(key):
    """As kernels take it, whose numbers hold no whole word: the lower half of each first."""
    return [float(half) for word in key for half in (word & 0xFFFF, word >> 16)]
