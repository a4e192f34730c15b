"""A slow twin of the leveraged market: accounts as dicts, cascades round by round, none of the package's formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.sim.anchors import SPOT
from tests.sim.test_ladder import LAMBDA
from tests.sim.test_leveraged import MIX, recorded, rules, scenario

from tailwag.margin.contract import Contract
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.leverage_buckets import LeverageBucket

Book = list[dict[str, float]]


def equity(account: dict[str, float], price: float, linear: bool) -> float:
    """USD of a linear account, coin of an inverse one."""
    side, size, entry = account["side"], account["size"], account["entry"]
    if linear:
        return account["wallet"] + side * size * (price - entry)
    return account["wallet"] + side * (size / entry - size / price)


def worth(size: float, price: float, linear: bool) -> float:
    return size * price if linear else size / price


def owed(book: Book, price: float, fill: float, fund: float, venue: Any) -> tuple[list[float], list[float], list[float]]:
    """Sizes to sell, sizes to be taken by the other side, and what each sale would lack, account by account."""
    linear = venue.contract is Contract.LINEAR
    sell, lack = [], []
    for account in book:
        needed = account["share"] * worth(account["size"], price, linear)
        have = equity(account, price, linear)
        if account["size"] <= 0.0 or have > needed:
            amount = 0.0
        elif not venue.rounds or have <= 0.0:
            amount = account["size"]
        else:
            amount = account["size"] * (1.0 - have / needed)
        sell.append(amount)
        whole = amount >= account["size"] > 0.0
        lack.append(max(-equity(account, fill, linear), 0.0) if whole else 0.0)
    taken = [0.0] * len(book)
    if venue.deleverages and sum(lack) > fund:
        part = 1.0 - fund / sum(lack)
        for side in (1.0, -1.0):
            mine = [place for place, account in enumerate(book) if account["side"] == side and lack[place] > 0.0]
            asked = part * sum(sell[place] for place in mine)
            ready = sum(book[place]["size"] for place, _ in queue(book, mine, sell, price, venue))
            for place in mine:
                taken[place] = part * sell[place] * (min(asked, ready) / asked if asked else 0.0)
    return [sold - given for sold, given in zip(sell, taken)], taken, lack


def ruin_price(book: Book, mine: list[int], weights: list[float], linear: bool) -> float:
    """The price at which the bankrupt are closed against the others: their bankruptcy prices, weighted (harmonically for inverse)."""
    total, sum_ = 0.0, 0.0
    for place in mine:
        account = book[place]
        ratio = account["side"] * account["wallet"] / account["size"]
        price = account["entry"] - ratio if linear else 1.0 / (1.0 / account["entry"] + ratio)
        total, sum_ = total + weights[place], sum_ + weights[place] * (price if linear else 1.0 / price)
    return sum_ / total if linear else total / sum_


def queue(book: Book, mine: list[int], weights: list[float], price: float, venue: Any) -> list[tuple[int, float]]:
    """The other side by rank, those who would not be ruined themselves."""
    if not mine:
        return []
    linear = venue.contract is Contract.LINEAR
    met, side, ranked = ruin_price(book, mine, weights, linear), book[mine[0]]["side"], []
    for place, account in enumerate(book):
        if account["side"] == side or account["size"] <= 0.0:
            continue
        now = equity(account, price, linear)
        gain = now - account["wallet"]
        if gain > 0.0 and now > 0.0 and equity(account, met, linear) >= 0.0:
            rank = gain / max(account["wallet"], 1e-9) * account["share"] * worth(account["size"], price, linear) / now
            ranked.append((place, rank))
    return sorted(ranked, key=lambda item: -item[1])


def settle(
    book: Book, sold: list[float], taken: list[float], price: float, fill: float, fund: float, venue: Any
) -> tuple[float, float, float, float]:
    """Pay everybody; the fund, and of the step the bad debt, what winners bore and what was closed against them in USD."""
    linear, shortfall, fees, borne, met_usd = venue.contract is Contract.LINEAR, 0.0, 0.0, 0.0, 0.0
    plan = []
    for side in (1.0, -1.0):
        mine = [place for place, account in enumerate(book) if account["side"] == side and taken[place] > 0.0]
        if mine:
            plan.append((mine, ruin_price(book, mine, taken, linear), queue(book, mine, taken, price, venue)))
    for mine, met, others in plan:
        left = sum(taken[place] for place in mine)
        for place, _ in others:
            account, closed = book[place], min(book[place]["size"], left)
            account["wallet"] += equity({**account, "size": closed, "wallet": 0.0}, met, linear)
            account["size"] -= closed
            left -= closed
            met_usd += closed * met if linear else closed
    for account, sale, gift in zip(book, sold, taken):
        if sale + gift <= 0.0:
            continue
        keeps = account["wallet"] * gift / account["size"]  # taken at its bankruptcy price: that part of the margin is gone
        account["wallet"] += equity({**account, "size": sale, "wallet": 0.0}, fill, linear) - keeps
        account["size"] -= sale + gift
        if account["size"] < 1e-9 * (sale + gift):
            account["size"] = 0.0
        fee = min(venue.liquidation_fee_share * worth(sale, fill, linear), max(account["wallet"], 0.0))
        if account["size"] > 0.0:
            fee = min(fee, max(equity(account, price, linear), 0.0))
        account["wallet"] -= fee
        fees += fee
        if account["size"] == 0.0 and account["wallet"] < 0.0:
            shortfall -= account["wallet"]
            account["wallet"] = 0.0
    fund += fees
    paid = min(fund, shortfall)
    unpaid = shortfall - paid
    if unpaid > 0.0 and not venue.deleverages:
        gains = [max(equity(account, price, linear) - account["wallet"], 0.0) for account in book]
        borne = min(unpaid, sum(gains))
        for account, gain in zip(book, gains):
            account["wallet"] -= borne * gain / sum(gains) if sum(gains) else 0.0
        unpaid -= borne
    return fund - paid, unpaid, borne, met_usd


def slow_run(book: Book, moves: np.ndarray, venue: Any, fund: float) -> dict[str, Any]:
    """One path: shock, then rounds of liquidations until the price rests, then the accounts."""
    linear, x, bad_debt, prices = venue.contract is Contract.LINEAR, 0.0, 0.0, []
    shared, met_usd = 0.0, 0.0
    for move in moves:
        start = rest = x + move
        before = SPOT * math.exp(start)
        for _ in range(5_000):
            price = SPOT * math.exp(rest)
            sold, _, _ = owed(book, price, 0.5 * (before + price), fund, venue)
            flow = sum(-account["side"] * amount * (before if linear else 1.0) for account, amount in zip(book, sold))
            new = start + LAMBDA * flow
            if abs(new - rest) < 1e-15:
                break
            rest = new
        x, price = rest, SPOT * math.exp(rest)
        fill = 0.5 * (before + price)
        sold, taken, _ = owed(book, price, fill, fund, venue)
        fund, *more = settle(book, sold, taken, price, fill, fund, venue)
        bad_debt, shared, met_usd = bad_debt + more[0], shared + more[1], met_usd + more[2]
        prices.append(price)
    return {"prices": prices, "fund": fund, "bad_debt": bad_debt, "shared": shared, "met_usd": met_usd, "book": book}


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("deleverages", [False, True])
@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("jump", [-0.035, 0.04])
def test_the_market_is_its_slow_twin(contract: Contract, deleverages: bool, rounds: bool, jump: float) -> None:
    """Prices, every account, the fund and the bad debt, through a jump that empties the fund and the days after it."""
    venue = rules(contract, rounds=rounds, deleverages=deleverages, margin=0.008)
    few = tuple(LeverageBucket(b.side, b.leverage, 0.15 * b.notional_usd, b.account_usd, b.entry_width_log, accounts=5) for b in MIX)
    agent = LeveragedTraders("traders", 0, few, venue, fund_usd=4e5)
    moves = np.array([-0.004, jump, -0.3 * jump, 0.006, -0.011, 0.02, -0.04])
    states, mine = recorded(scenario(moves, agent))
    first, last = states[0].seats[mine].memory.accounts, states[-1].seats[mine].memory.accounts
    linear = contract is Contract.LINEAR
    book = [
        {
            "side": float(first.side[place, 0]),
            "share": float(first.share[place, 0]),
            "size": float(first.size[place, 0]),
            "wallet": float(first.wallet[place, 0]),
            "entry": float(first.entry[place, 0] if linear else -1.0 / first.entry[place, 0]),
        }
        for place in range(first.side.size)
    ]
    slow = slow_run(book, moves, venue, float(first.fund[0]))
    fast = [SPOT * math.exp(state.log_price[0]) for state in states[1:]]
    assert fast == pytest.approx(slow["prices"], rel=1e-11)
    assert last.size[:, 0] == pytest.approx([account["size"] for account in slow["book"]], rel=1e-8, abs=1e-8 * first.size.max())
    assert last.wallet[:, 0] == pytest.approx([account["wallet"] for account in slow["book"]], rel=1e-8, abs=1e-8 * first.wallet.max())
    assert last.fund[0] == pytest.approx(slow["fund"], rel=1e-7, abs=1e-9 * first.wallet.sum())
    assert last.bad_debt[0] == pytest.approx(slow["bad_debt"], rel=1e-7, abs=1e-9 * first.wallet.sum())
    assert last.shared[0] == pytest.approx(slow["shared"], rel=1e-7, abs=1e-9 * first.wallet.sum())
    assert last.deleveraged_usd[0] == pytest.approx(slow["met_usd"], rel=1e-7, abs=1e-3)
    assert jump < 0.0 or not linear or slow["met_usd" if deleverages else "shared"] > 0.0
    assert (last.size < first.size).any()


@pytest.mark.parametrize("contract", list(Contract))
@pytest.mark.parametrize("deleverages", [False, True])
def test_with_nobody_on_the_other_side_the_rest_is_bad_debt(contract: Contract, deleverages: bool) -> None:
    """Longs alone: once the fund is empty nobody can be deleveraged and nobody has won, so the venue is left with the loss."""
    venue = rules(contract, deleverages=deleverages)
    longs = tuple(LeverageBucket("long", leverage, 5e7, 1e5, 0.01, accounts=6) for leverage in (20.0, 60.0))
    agent = LeveragedTraders("traders", 0, longs, venue, fund_usd=1e5)
    moves = np.array([-0.02, -0.05, 0.01])
    states, mine = recorded(scenario(moves, agent))
    first, last = states[0].seats[mine].memory.accounts, states[-1].seats[mine].memory.accounts
    linear = contract is Contract.LINEAR
    entries = first.entry[:, 0] if linear else -1.0 / first.entry[:, 0]
    columns = zip(first.size[:, 0], first.wallet[:, 0], entries, first.share[:, 0])
    book = [{"side": 1.0, "size": float(z), "wallet": float(w), "entry": float(e), "share": float(m)} for z, w, e, m in columns]
    slow = slow_run(book, moves, venue, float(first.fund[0]))
    assert slow["bad_debt"] > 0.1 * first.wallet.sum()
    assert last.bad_debt[0] == pytest.approx(slow["bad_debt"], rel=1e-9)
    assert last.fund[0] == pytest.approx(0.0, abs=1e-9 * first.wallet.sum())
