"""Which architecture to look at next, given what is known of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tinyfoundry.search.arch import Arch, encode
from tinyfoundry.search.cost import Bounds, Candidate, better
from tinyfoundry.search.space import Rng, Space, crossover, mutate, pick, sample, shrink, smallest

_TRIES = 60
# Estimates are not the compiler's figures: only what is this much larger than a misfit is taken to be a
# misfit.
_MARGIN = 1.1


@dataclass(frozen=True)
class Settings:
    """What decides the order of candidates besides space, limits and measurements.

    seed: of all random choices. initial: random candidates trained before any are bred. generation:
    candidates proposed at once, from the same parents. parents: the best so many breed. crossover: share of
    children of two parents. tag: anything else that results depend on (data, board, recipe); another tag is
    another search.
    """

    seed: int = 0
    initial: int = 8
    generation: int = 4
    parents: int = 4
    crossover: float = 0.5
    tag: str = ""


@dataclass(frozen=True)
class Estimate:
    """Size of a network by counting: int8 weights, most bytes of activations that a layer reads and writes,
    and multiply-accumulates. It orders networks; what they cost the compiler says.
    """

    weights: int
    activations: int
    macs: int


def propose(
    space: Space,
    limits: Bounds,
    settings: Settings,
    past: Sequence[Candidate],
    planned: Sequence[Arch],
    rng: Rng,
) -> Arch | None:
    """The next architecture: the smallest one first, then random ones, then children of the best.

    One that must be too large, judged by candidates that were, is shrunk until it need not be. None when
    ``rng`` finds nothing new, which happens where the space is nearly used up.
    """
    if not past and not planned:
        return smallest(space)
    seen = {encode(arch) for arch in planned} | {encode(candidate.arch) for candidate in past}
    unfit = [(limits.excess(c.cost), estimate(space.shape, c.arch)) for c in past if c.accuracy is None]
    for _ in range(_TRIES):
        arch = _drawn(space, settings, past, rng)
        for _ in range(_TRIES):
            size = estimate(space.shape, arch)
            if not any(_must_exceed(size, *known) for known in unfit):
                break
            arch = shrink(space, arch, rng)
        if encode(arch) not in seen:
            return arch
    return None


def _drawn(space: Space, settings: Settings, past: Sequence[Candidate], rng: Rng) -> Arch:
    trained = sorted((candidate for candidate in past if candidate.accuracy is not None), key=better)
    if len(trained) < settings.initial:
        # Samples have rising channels; a mutation now and then also reaches the rest of the space.
        arch = sample(space, rng)
        return mutate(space, arch, rng) if rng.random() < 0.25 else arch
    parents = [candidate.arch for candidate in trained[: settings.parents]]
    mother = pick(parents, rng)
    if rng.random() < settings.crossover:
        mother = crossover(space, mother, pick(parents, rng), rng)
        if rng.random() < 0.5:
            return mother
    return mutate(space, mother, rng)


def _must_exceed(size: Estimate, excess: tuple[float, float, float], known: Estimate) -> bool:
    """Whether a network is well above one that did not fit, in a figure by which that one did not fit."""
    pairs = (
        (size.activations, known.activations),
        (size.weights, known.weights),
        (size.macs, known.macs),
    )
    return any(over and mine > _MARGIN * theirs for over, (mine, theirs) in zip(excess, pairs, strict=True))


def estimate(shape: tuple[int, int, int], arch: Arch) -> Estimate:
    """The size of ``arch`` for inputs of ``shape`` (H, W, C), without the classifier."""
    size = [shape[i] // arch.reduce[i] for i in (0, 1)]
    inputs = prod(shape)
    sums = [0, inputs, 0]

    def layer(weights: int, positions: int, read: int, write: int, kept: int = 0) -> None:
        sums[0] += weights
        sums[1] = max(sums[1], read + write + kept)
        sums[2] += weights * positions

    before = prod(size)
    size = [-(-size[i] // arch.stem_stride[i]) for i in (0, 1)]
    channels = arch.scaled(arch.stem_channels)
    layer(prod(arch.stem_kernel) * shape[2] * channels, prod(size), before * shape[2], prod(size) * channels)
    for block in arch.blocks:
        before, wide, out = prod(size), block.expansion * channels, arch.scaled(block.channels)
        kept = before * channels if block.skip else 0
        if block.expansion > 1:
            layer(channels * wide, before, before * channels, before * wide)
        size = [-(-size[i] // block.stride[i]) for i in (0, 1)]
        layer(prod(block.kernel) * wide, prod(size), before * wide, prod(size) * wide, kept)
        layer(wide * out, prod(size), prod(size) * wide, prod(size) * out, kept)
        channels = out
    return Estimate(*sums)
