"""Which published methods a run rests on: one line each, for whoever has to defend its numbers."""

from __future__ import annotations

from typing import Any

from tailwag.hedging.execution import AlmgrenChriss, ObizhaevaWang
from tailwag.hedging.policies import AtTimes, CharmOnly, Leland, WhalleyWilmott, Zakamouline
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.dynamics import Bates, Bootstrap, HawkesJumps, Heston, Kou, Merton, StudentT
from tailwag.sim.run import Run
from tailwag.sim.scenario import Scenario

_ALWAYS = (
    "Frey and Stremme (1997), Market volatility and feedback effects from dynamic hedging: prices that move with the hedges they cause",
    "Black (1976), The pricing of commodity contracts: option values and deltas",
    "Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3: counter-based random numbers",
)
_BY_KIND: dict[type, str] = {
    Heston: "Heston (1993); Andersen (2008), Simple and efficient simulation of the Heston model: stochastic variance",
    Bates: "Bates (1996), Jumps and stochastic volatility; Andersen (2008): stochastic variance with jumps",
    Merton: "Merton (1976), Option pricing when underlying stock returns are discontinuous: normal jumps",
    Kou: "Kou (2002), A jump-diffusion model for option pricing: double-exponential jumps",
    StudentT: "Praetz (1972), The distribution of share price changes: Student-t returns",
    HawkesJumps: "Hawkes (1971), Spectra of some self-exciting and mutually exciting point processes: jumps that bring jumps",
    Bootstrap: "Politis and Romano (1994), The stationary bootstrap: blocks of real candles",
    WhalleyWilmott: "Whalley and Wilmott (1997), An asymptotic analysis of an optimal hedging model: the band",
    Zakamouline: "Zakamouline (2006), Efficient analytic approximation of the optimal hedging strategy: band and hedging vol",
    Leland: "Leland (1985), Option pricing and replication with transactions costs: the hedging vol",
    CharmOnly: "Avellaneda and Lipkin (2003), A market-induced mechanism for stock pinning: the flow of time decay",
    AtTimes: "Derman and Kamal (1999), When you cannot hedge continuously: hedging at set times",
    AlmgrenChriss: "Almgren and Chriss (2001), Optimal execution of portfolio transactions: slices",
    ObizhaevaWang: "Obizhaeva and Wang (2013), Optimal trading strategy and supply/demand dynamics: slices",
    LeveragedTraders: "Borel (1942), Tanner (1953), Tarski (1955): cascades; margin and liquidation by the venue's own published rules",
    MarginedBook: "Tarski (1955): a call and the price that it moves as the smallest fixed point; standard margin by the venue's own published rules",
    LiquidationLadder: "Borel (1942), Tanner (1953): sizes of cascades; the smallest fixed point as in Tarski (1955)",
}


def citations(run: Run | Scenario) -> tuple[str, ...]:
    """The sources of the methods that a run (or a scenario) uses, one line each.

    >>> import tailwag as tw
    >>> grid = tw.TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0)
    >>> quiet = tw.Scenario(60_000.0, grid, tw.Merton(0.5, 20.0, -0.02, 0.06), tw.ImpactModel(permanent_per_usd=1e-11), (), "implicit")
    >>> [line.split(",")[0] for line in citations(quiet)][-1]
    'Merton (1976)'
    """
    scenario = run.scenario if isinstance(run, Run) else run
    parts: list[Any] = [scenario.price]
    for agent in scenario.agents:
        parts += [agent, getattr(agent, "policy", None), getattr(agent, "execution", None)]
    found = [_BY_KIND[type(part)] for part in parts if type(part) in _BY_KIND]
    impact = scenario.impact
    if impact.square_root is not None:
        found.append("Toth et al. (2011), Anomalous price impact and the critical nature of liquidity: the square-root law")
    if impact.passes:
        found.append("Bouchaud, Gefen, Potters and Wyart (2004), Fluctuations and response in financial markets: impact that passes")
    return (*_ALWAYS, *dict.fromkeys(found))
