"""Uncertainty about who is short: several rules by chance, drawn instrument by instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.market.chain import Chain
from tailwag.positioning.held import Positions, Rule

MOST_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Mixture:
    """Uncertainty about who is short: each instrument follows one of several rules, drawn with stated probabilities.

    ``correlation`` is how much instruments are drawn together (one-factor Gaussian copula): 0 draws each alone, so that errors cancel and
    the bands are narrow; 1 draws one rule for all.  The position itself is the mean over the rules; ``draws`` give the bands.
    """

    parts: tuple[tuple[Rule, float], ...]
    draws: int = 400
    seed: int = 0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        total = sum(probability for _, probability in self.parts)
        if len(self.parts) < 2 or any(not 0.0 < probability <= 1.0 for _, probability in self.parts) or abs(total - 1.0) > 1e-9:
            raise RuleError(f"mixture expects two or more rules whose probabilities are above 0 and sum to 1, got a sum of {total:g}")
        if not 0.0 <= self.correlation <= 1.0:
            raise RuleError(f"mixture correlation must lie between 0 and 1, got {self.correlation}")
        if not 1 <= self.draws <= MOST_DRAWS or self.seed < 0:
            raise RuleError(f"mixture expects 1 to {MOST_DRAWS} draws and a seed of 0 or more, got {self.draws} draws and seed {self.seed}")

    @property
    def name(self) -> str:
        """``mixture:RULE@P+RULE@P``."""
        return "mixture:" + "+".join(f"{rule.name}@{probability:g}" for rule, probability in self.parts)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Mean position over the rules and ``draws`` sampled books, (d, n)."""
        by_rule = np.stack([rule.infer(chain, forward_usd=forward_usd).position_coin for rule, _ in self.parts])
        probability = np.array([p for _, p in self.parts])
        chosen = np.empty((self.draws, len(chain)), dtype=np.int64)
        # drawn in the order of the contracts themselves: the same chain in another order of rows gives the same books
        chosen[:, chain.order_by_contents] = self._choices(len(chain), probability)
        sampled = np.take_along_axis(by_rule, chosen, axis=0)
        return Positions(
            chain,
            frozen(probability @ by_rule),
            self.name,
            "mixture of: " + "; ".join(rule.infer(chain, forward_usd=forward_usd).citation for rule, _ in self.parts),
            f"each instrument follows one of {len(self.parts)} rules by chance (correlation {self.correlation:g} between instruments); "
            f"bands are over {self.draws} draws, seed {self.seed}",
            draws=frozen(sampled),
        )

    def _choices(self, size: int, probability: FloatArray) -> IntArray:
        from statistics import NormalDist

        rng = np.random.Generator(np.random.Philox(self.seed))
        together = np.sqrt(self.correlation) * rng.standard_normal((self.draws, 1))
        latent = together + np.sqrt(1.0 - self.correlation) * rng.standard_normal((self.draws, size))
        inner = np.cumsum(probability)[:-1]
        edges = np.array([NormalDist().inv_cdf(min(edge, 1.0 - 1e-16)) for edge in inner])
        chosen: IntArray = np.searchsorted(edges, latent).astype(np.int64)
        return chosen
