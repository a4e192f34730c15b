"""Who is short: Chain -> Positions by a named, cited rule; there is no default, because the rule decides the sign of everything.

Every rule gives the dealers' side, long +.  A rule is an assumption about people nobody sees: name it, vary it, print it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Snapshot
from tailwag.market.trades import Trades

if TYPE_CHECKING:
    import polars

MOST_DRAWS = 10_000
RULE_SPELLINGS = "long-calls-short-puts, short-all, long-all, customers-buy:SHARE, customers-sell-otm, flow:FILE, positions:FILE, mixture:RULE@0.6+RULE@0.4"


@dataclass(frozen=True, slots=True)
class Positions:
    """The dealers' signed holding of every listed option under one rule.

    Shapes: ``position_coin`` (n,), NaN on quarantined rows; ``draws`` (d, n) or None where the rule carries no uncertainty.
    Units: coin.  Sign: + dealers long, - dealers short.
    """

    chain: Chain
    position_coin: FloatArray
    rule: str
    citation: str
    assumption: str
    draws: FloatArray | None = None
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        held = self.position_coin[np.isfinite(self.position_coin)]
        long_coin, short_coin = float(held[held > 0].sum()), float(-held[held < 0].sum())
        name = self.chain.currency
        return f"{self.rule}: dealers long {long_coin:,.0f} and short {short_coin:,.0f} {name} of options; {self.assumption}"

    def to_frame(self) -> polars.DataFrame:
        """One row per listed option: instrument, position in coin (null where masked), open interest in coin."""
        import polars as pl

        return pl.DataFrame(
            {
                "instrument": pl.Series(list(self.chain.instrument), dtype=pl.String),
                "position_coin": pl.Series(self.position_coin).fill_nan(None),
                "open_interest_coin": pl.Series(self.chain.open_interest_coin).fill_nan(None),
            }
        )


class Rule(Protocol):
    """A named assumption about who is short."""

    @property
    def name(self) -> str:
        """How the command line spells it."""
        ...

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """The dealers' positions; ``forward_usd`` (n,) is needed by rules that ask what is in the money."""
        ...


def infer_positions(snapshot: Snapshot | Chain, *, rule: Rule, forward_usd: FloatArray | None = None) -> Positions:
    """The dealers' signed positions in every listed option under ``rule`` (coin, long +).

    ``forward_usd`` (n,): each row's forward; without it a rule that needs one takes the venue's own underlying price of the row.

    >>> chain = Chain.from_columns(currency="BTC", as_of_ns=0, instrument=["C", "P"], right=[1, -1], open_interest_contracts=[5.0, 3.0],
    ...                            coin_per_contract=[1.0, 1.0])
    >>> infer_positions(chain, rule=LongCallsShortPuts()).position_coin
    array([ 5., -3.])
    """
    chain = snapshot.chain if isinstance(snapshot, Snapshot) else snapshot
    return rule.infer(chain, forward_usd=forward_usd)


def _signed(chain: Chain, sign: Any, *, rule: str, citation: str, assumption: str) -> Positions:
    position = np.where(chain.usable, np.asarray(sign, dtype=np.float64) * chain.open_interest_coin, np.nan)
    return Positions(chain, frozen(position), rule, citation, assumption)


@dataclass(frozen=True, slots=True)
class LongCallsShortPuts:
    """Dealers are long every call and short every put: the convention of most public gamma tools."""

    name: str = field(default="long-calls-short-puts", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest of calls, - open interest of puts."""
        return _signed(
            chain,
            np.where(chain.is_call, 1.0, -1.0),
            rule=self.name,
            citation="Perfiliev, How to calculate gamma exposure (2022); SqueezeMetrics, The implied order book (2020)",
            assumption="customers sell all calls (overwriting) and buy all puts (protection)",
        )


@dataclass(frozen=True, slots=True)
class ShortAll:
    """Dealers are short every option: the worst case, which bounds the amplification."""

    name: str = field(default="short-all", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = - open interest."""
        return _signed(
            chain, -1.0, rule=self.name, citation="bound: every contract sold by a hedger", assumption="customers are long every option"
        )


@dataclass(frozen=True, slots=True)
class LongAll:
    """Dealers are long every option: the bound on damping."""

    name: str = field(default="long-all", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest."""
        return _signed(
            chain, 1.0, rule=self.name, citation="bound: every contract bought by a hedger", assumption="customers are short every option"
        )


@dataclass(frozen=True, slots=True)
class CustomersBuy:
    """Customers hold the long side of a stated share of open interest, whatever the contract."""

    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise RuleError(f"customers-buy needs a share between 0 and 1, got {self.share}; 0.5 means nobody is net long")

    @property
    def name(self) -> str:
        """``customers-buy:SHARE``."""
        return f"customers-buy:{self.share:g}"

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = (1 - 2 share) * open interest."""
        return _signed(
            chain,
            1.0 - 2.0 * self.share,
            rule=self.name,
            citation="stated by the user",
            assumption=f"customers hold the long side of {self.share:.0%} of every contract's open interest, dealers the other side",
        )


@dataclass(frozen=True, slots=True)
class CustomersSellOtm:
    """Customers sell options out of the money and buy those at or in the money: what the literature reports of Deribit's end users."""

    name: str = field(default="customers-sell-otm", init=False)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = + open interest where the strike is out of the money at the row's forward, - where it is at or in the money."""
        forward = chain.underlying_usd if forward_usd is None else forward_usd
        unknown = ~np.isfinite(forward)
        if len(chain) and bool(unknown.all()):
            raise RuleError("customers-sell-otm expects each option's forward, no row has one; pass forward_usd from tailwag.forward_curve")
        out_of_the_money = np.where(chain.is_call, chain.strike_usd > forward, chain.strike_usd < forward)
        return _signed(
            chain,
            np.where(unknown, np.nan, np.where(out_of_the_money, 1.0, -1.0)),
            rule=self.name,
            citation="Alexander et al., Journal of Futures Markets (2023), as reported by third parties, on Deribit's end users",
            assumption="customers sell options out of the money and buy those at or in the money",
        )


@dataclass(frozen=True, slots=True)
class FlowRule:
    """Dealers hold the other side of what takers bought, as accumulated from signed trades and never more than the open interest.

    ``blocks``: the direction printed on a block trade is the maker's side, not aggression in the order book; ``"exclude"`` leaves blocks
    out, ``"maker-side"`` believes that the printed side is the dealer's.  A trade in which the maker was liquidated has the customer on the
    maker's side, so its sign turns; one where both sides were liquidated has no dealer and is left out.
    """

    trades: Trades
    blocks: Literal["exclude", "maker-side"] = "exclude"
    label: str = "trades"

    @property
    def name(self) -> str:
        """``flow:FILE``."""
        return f"flow:{self.label}"

    def dealer_signs(self) -> FloatArray:
        """What dealers did in each trade, (n,): +1 bought, -1 sold, 0 not counted."""
        trades = self.trades
        sign = -trades.taker_sign.astype(np.float64)
        sign = np.where(trades.liquidated == "M", -sign, sign)
        sign = np.where(trades.liquidated == "MT", 0.0, sign)
        block = trades.taker_sign.astype(np.float64) if self.blocks == "maker-side" else np.zeros(len(trades))
        return np.where(trades.is_block, block, sign)

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the sum of dealers' signed amounts per instrument up to the chain's time, held within +- open interest."""
        counted, traded, trades_known = self._net_by_row(chain)
        limit = np.where(np.isfinite(chain.open_interest_coin), np.maximum(chain.open_interest_coin, 0.0), 0.0)
        held = np.clip(counted, -limit, limit)
        total = float(chain.counted_open_interest_coin().sum())
        covered = float(chain.counted_open_interest_coin()[traded].sum()) / total if total > 0 else 0.0
        clipped = int((np.abs(counted) > limit).sum())
        used = self.dealer_signs() != 0
        notes = (
            f"{int(used.sum())} of {len(self.trades)} trades counted ({self.trades.repeats_removed} repeats removed before, blocks: {self.blocks}), "
            f"{trades_known} of them in listed instruments; instruments with trades hold {covered:.1%} of open interest; "
            f"{clipped} instruments held at their open interest",
        )
        return Positions(
            chain,
            frozen(np.where(chain.usable, held, np.nan)),
            self.name,
            "signed taker flow (the sign rule of Glassnode's taker-flow gamma and Amberdata's dealer inventory)",
            f"takers are customers and makers are dealers; instruments without trades count as not held ({covered:.1%} of open interest is covered)",
            notes=notes,
        )

    def _net_by_row(self, chain: Chain) -> tuple[FloatArray, Any, int]:
        row_of = {(venue, name): row for row, (venue, name) in reversed(list(enumerate(zip(chain.venue, chain.instrument, strict=True))))}
        any_venue = {name: row for row, name in reversed(list(enumerate(chain.instrument)))}
        trades = self.trades
        # venues share spellings: a trade whose venue is known counts only for that venue's contract
        keys = zip(trades.venue, trades.instrument, strict=True)
        rows = np.array([row_of.get((venue, name), -1) if venue else any_venue.get(name, -1) for venue, name in keys], dtype=np.int64)
        amount = np.where(np.isfinite(trades.amount_coin), trades.amount_coin, 0.0) * self.dealer_signs()
        known = (rows >= 0) & (trades.time_ns <= chain.as_of_ns)
        net = np.zeros(len(chain))
        np.add.at(net, rows[known], amount[known])
        traded = np.zeros(len(chain), dtype=bool)
        traded[rows[known & (amount != 0.0)]] = True
        return net, traded, int((known & (amount != 0.0)).sum())


@dataclass(frozen=True, slots=True)
class PositionsFile:
    """Dealer positions as the user states them, instrument by instrument (coin, long +); unnamed instruments are not held."""

    position_coin: Mapping[str, float]
    label: str = "positions"

    @property
    def name(self) -> str:
        """``positions:FILE``."""
        return f"positions:{self.label}"

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the stated position of each instrument, 0 where none is stated.

        Raises RuleError for a name that the chain does not list, and for one that several venues list.
        """
        listed = set(chain.instrument)
        named = {(venue, name) for venue, name in zip(chain.venue.tolist(), chain.instrument.tolist()) if name in self.position_coin}
        twice = [name for name, venues in Counter(name for _, name in named).items() if venues > 1]
        if twice:
            raise RuleError(
                f"positions file: {twice[0][:60]!a} is listed by {' and '.join(sorted(venue for venue, name in named if name == twice[0]))}; "
                "measure one venue at a time, or its position would count twice"
            )
        strange = [name for name in self.position_coin if name not in listed]
        if strange:
            raise RuleError(
                f"positions file: {strange[0][:60]!a} (and {len(strange) - 1} more) is not in this chain; expected names as the venue lists them"
            )
        stated = np.array([self.position_coin.get(name, 0.0) for name in chain.instrument], dtype=np.float64)
        bad = ~np.isfinite(stated)
        if bool(bad.any()):
            raise RuleError(f"positions file: {chain.instrument[bad][0]} has no finite position; give coin, long +")
        return Positions(
            chain,
            frozen(np.where(chain.usable, stated, np.nan)),
            self.name,
            "stated by the user",
            f"{len(self.position_coin)} instruments are held as stated, all others not at all",
        )


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


def parse_rule(
    text: str,
    *,
    load_trades: Callable[[str], Trades] | None = None,
    load_positions: Callable[[str], Mapping[str, float]] | None = None,
    draws: int = 400,
    seed: int = 0,
) -> Rule:
    """The rule that a command-line spelling stands for; the caller brings the readers of files.

    >>> parse_rule("customers-buy:0.7").name
    'customers-buy:0.7'
    >>> parse_rule("mixture:short-all@0.6+long-all@0.4").name
    'mixture:short-all@0.6+long-all@0.4'

    Raises RuleError for an unknown or malformed rule; the message lists the spellings.
    """
    plain: dict[str, Callable[[], Rule]] = {
        "long-calls-short-puts": LongCallsShortPuts,
        "short-all": ShortAll,
        "long-all": LongAll,
        "customers-sell-otm": CustomersSellOtm,
    }
    if text in plain:
        return plain[text]()
    kind, _, rest = text.partition(":")
    if kind == "customers-buy" and rest:
        return CustomersBuy(_number(rest, text))
    if kind == "flow" and rest and load_trades:
        return FlowRule(load_trades(rest), label=_basename(rest))
    if kind == "positions" and rest and load_positions:
        return PositionsFile(load_positions(rest), label=_basename(rest))
    if kind == "mixture" and rest:
        return Mixture(tuple(_part(part, text, load_trades, load_positions) for part in rest.split("+")), draws=draws, seed=seed)
    raise RuleError(f"positioning rule {text[:80]!a} is unknown; use one of {RULE_SPELLINGS}")


def _part(part: str, text: str, load_trades: Any, load_positions: Any) -> tuple[Rule, float]:
    spelling, at, probability = part.rpartition("@")
    if not at or not spelling:
        raise RuleError(f"{text[:80]!a}: each part of a mixture is RULE@PROBABILITY, got {part[:40]!a}")
    return parse_rule(spelling, load_trades=load_trades, load_positions=load_positions), _number(probability, text)


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise RuleError(f"{text[:80]!a}: expected a number between 0 and 1, got {digits[:20]!a}") from None


def _basename(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
