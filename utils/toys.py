"""Small made-up data for lesson 14: written digits, shopping sessions, molecule strings.

The same seed gives the same data. data/README.md describes them.
"""

import math
import random

import torch
from torch import Tensor

STROKES = (
    "4,1 2,1 1,3 1,5 2,7 4,7 5,5 5,3 4,1",
    "2,2 3,1 3,7",
    "1,2 2,1 4,1 5,2 5,3 1,7 5,7",
    "1,1 5,1 3,3 5,5 4,7 1,7",
    "4,7 4,1 1,5 5,5",
    "5,1 1,1 1,3 4,3 5,5 4,7 1,7",
    "4,1 2,3 1,5 2,7 4,7 5,5 4,4 1,5",
    "1,1 5,1 2,7",
    "3,4 1,2 3,1 5,2 3,4 1,6 3,7 5,6 3,4",
    "5,3 3,4 1,3 2,1 4,1 5,3 4,7",
)
SIDE = 8    # a picture has 8 by 8 points

N_HOBBIES, N_ITEMS = 6, 8    # items of a hobby, which one buys in a row
VISIT = 12    # items of a session

ATOMS = "CNO"
ATOMS_IN_CHAIN = 12


def digit_images(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw digits with a trembling pen: bent, turned, shifted, thick or thin, with grain.

    Returns pictures (n, 8, 8) from 0, paper, to 1, ink, and the digits (n,).
    """
    generator = torch.Generator().manual_seed(seed)

    def tremble(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    digits = torch.randint(10, (n,), generator=generator)
    column = torch.arange(float(SIDE))
    points = torch.cartesian_prod(column, column).flip(-1)    # (64, 2), each as x, y
    images = [drawn(pen_of(int(digit), tremble), 0.55 + 0.2 * tremble(1), points)
              for digit in digits]
    grain = 0.12 * torch.randn(n, SIDE, SIDE, generator=generator)
    return (torch.stack(images) + grain).clamp(0, 1), digits


def pen_of(digit: int, tremble) -> Tensor:
    """The corners (n_corners, 2) of the pen's way, as x and y on the picture."""
    corners = [[float(x) for x in corner.split(",")] for corner in STROKES[digit].split()]
    path = torch.tensor(corners) - torch.tensor([3.0, 4.0])
    path = path + 0.35 * tremble(*path.shape)
    angle, shear, wide, high = (0.3, 0.25, 0.15, 0.12) * tremble(4).numpy()
    sin, cos = math.sin(angle), math.cos(angle)
    turn = torch.tensor([[(1 + wide) * cos, (1 + wide) * sin],
                         [(1 + high) * (shear - sin), (1 + high) * cos]], dtype=path.dtype)
    return 0.95 * path @ turn + (SIDE - 1) / 2 + 0.8 * tremble(2)


def drawn(path: Tensor, width: Tensor, points: Tensor) -> Tensor:
    """The ink (8, 8) that a pen of this width leaves on its way."""
    start, way = path[:-1], path[1:] - path[:-1]              # (n_strokes, 2)
    from_start = points.unsqueeze(1) - start                  # (64, n_strokes, 2)
    length = way.square().sum(-1).clamp(min=1e-6)
    along = ((from_start * way).sum(-1) / length).clamp(0, 1).unsqueeze(-1)
    distance = (from_start - along * way).norm(dim=-1).amin(dim=1)
    return (1.5 - distance / width).clamp(0, 1).view(SIDE, SIDE)


def shopping_sessions(n: int, seed: int) -> Tensor:
    """What n shoppers buy, one item after the other.

    Each has two hobbies of 6 and goes through the 8 items of each in a row, from where he
    stands; which hobby comes next is chance, and one item in ten is any of 48.
    Returns item numbers (n, 12).
    """
    rng = random.Random(seed)
    sessions = []
    for _ in range(n):
        hobbies = rng.sample(range(N_HOBBIES), 2)
        stands = [rng.randrange(N_ITEMS) for _ in hobbies]
        session = []
        for _ in range(VISIT):
            which = rng.randrange(2)
            item = N_ITEMS * hobbies[which] + stands[which]
            if rng.random() < 0.1:
                item = rng.randrange(N_HOBBIES * N_ITEMS)
            else:
                stands[which] = (stands[which] + 1) % N_ITEMS
            session.append(item)
        sessions.append(session)
    return torch.tensor(sessions)


def molecule_strings(n: int, seed: int) -> tuple[list[str], Tensor]:
    """Strings in the manner of SMILES, each a chain of atoms with two rings.

    A ring is opened by a digit after an atom and closed by the same digit after another one.
    The rings do not overlap; their digits are drawn. Returns the strings, and for each how many
    atoms N stand in the ring that the digit 1 closes, 0 to 3.
    """
    rng = random.Random(seed)
    strings, counts = [], []
    while len(strings) < n:
        atoms = [rng.choices(ATOMS, (4, 3, 2))[0] for _ in range(ATOMS_IN_CHAIN)]
        ends = sorted(rng.sample(range(ATOMS_IN_CHAIN), 4))
        if ends[1] - ends[0] < 2 or ends[3] - ends[2] < 2:
            continue    # a ring has three atoms at least
        digits = rng.sample("12", 2)
        ring = ends[:2] if digits[0] == "1" else ends[2:]
        count = atoms[ring[0] : ring[1] + 1].count("N")
        if count > 3:
            continue
        marks = dict(zip(ends, [digits[0]] * 2 + [digits[1]] * 2))
        strings.append("".join(atom + marks.get(at, "") for at, atom in enumerate(atoms)))
        counts.append(count)
    return strings, torch.tensor(counts)
