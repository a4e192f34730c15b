"""Which hedging rule costs least once everybody's hedging moves the market? python examples/policy_frontier.py [MEASURE.json] [PATHS]"""

from __future__ import annotations

import sys

from tailwag.experiments.frontier import compare_policies
from tailwag.experiments.frontier_books import Terms, prepare_book
from tailwag.experiments.frontier_document import frontier_document
from tailwag.experiments.frontier_worlds import policies_from_text

POLICIES = "every-step, grid:60min, band:5e7usd, whalley-wilmott:1e-7,6bps"


def main(arguments: list[str]) -> None:
    source = arguments[0] if arguments else "demo"
    paths = int(arguments[1]) if len(arguments) > 1 else 256
    book = prepare_book(source, Terms(hours=6.0, paths=paths))
    frontier = compare_policies(book.question, policies_from_text([POLICIES]), paths=book.paths, seed=book.seed)
    document = frontier_document(frontier, book)
    for sentence in document["headline"]:
        print(sentence)
    print(f"\n{'policy':28}{'cost, no feedback':>18}{'cost':>12}{'risk':>12}{'vol, a step':>13}{'vol, the run':>13}")
    for row in document["policies"]:
        off, on = row["alone"], row["together"]
        money = "".join(
            f"{estimate['value'] / 1e3:>{width},.0f}k"
            for estimate, width in ((off["cost_usd"], 17), (on["cost_usd"], 11), (on["risk_usd"], 11))
        )
        vol = "".join(f"{100 * (on[name]['value'] - 1):>+12.1f}%" for name in ("amplification", "amplification_horizon"))
        print(f"{row['policy']:28}{money}{vol}")


if __name__ == "__main__":
    main(sys.argv[1:])
