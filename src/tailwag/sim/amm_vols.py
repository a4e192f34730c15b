"""The vols of an options pool as its trades have moved them: a base vol for each expiry, a skew for each strike, on every path."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.amm_pricing import VolRule
from tailwag.sim.option_model import Contract, OptionModel
from tailwag.units import HOURS_PER_YEAR

MOST_STRIKES = 32
"""Strikes (of any expiry) whose skew a pool can remember on a path; a further one is not quoted until one expires."""


@dataclass(frozen=True, slots=True)
class Board:
    """One expiry: its base vol and the running mean of the logarithm of that vol, (paths,)."""

    expiry_step: int
    base_iv: FloatArray
    mean_log: FloatArray


@dataclass(frozen=True, slots=True)
class PoolVols:
    """All boards, and listed strikes by row and path: ``strike_usd`` 0 is a free row.  Calls and puts of a strike share its skew.

    Shapes: (32, paths) for the listing.
    """

    rule: VolRule
    model: OptionModel
    boards: tuple[Board, ...]
    strike_usd: FloatArray
    expiry_step: IntArray
    skew: FloatArray

    @classmethod
    def opened(cls, rule: VolRule, model: OptionModel, paths: int) -> PoolVols:
        """Nothing listed."""
        rows = (MOST_STRIKES if rule.moves else 1, paths)
        return cls(rule, model, (), np.zeros(rows), np.zeros(rows, dtype=np.int64), np.ones(rows))

    def of(self, contract: Contract, spot_usd: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Base vol, skew, and how far the base vol is from its mean, (paths,)."""
        board = self._board(contract.expiry_step)
        smile = self.model.vol(np.log(spot_usd / contract.strike_usd), np.zeros(spot_usd.shape)) / self.model.terms.iv
        same = self._same(contract)
        skew = np.where(same.any(axis=0), np.where(same, self.skew, 0.0).sum(axis=0), smile)
        if board is None:
            start = np.full(spot_usd.shape, self.start_iv)
            return start, skew, start
        return board.base_iv, skew, np.exp(board.mean_log)

    @property
    def start_iv(self) -> float:
        """The base vol of an expiry that has not traded."""
        return self.model.terms.iv if self.rule.start_iv is None else self.rule.start_iv

    def room(self, contract: Contract) -> BoolArray:
        """Paths that can list the strike."""
        if not self.rule.moves:
            return np.ones(contract.strike_usd.shape, dtype=bool)
        return np.asarray(self._same(contract).any(axis=0) | (self.strike_usd == 0.0).any(axis=0))

    def traded(self, contract: Contract, coin: FloatArray, spot_usd: FloatArray) -> PoolVols:
        """The vols after takers bought (+) or sold coin."""
        if not self.rule.moves or not coin.any():
            return self
        base, skew, mean = self.of(contract, spot_usd)
        step = np.asarray(self.rule.moved(coin))
        board = Board(contract.expiry_step, base + step, np.log(mean))
        boards = tuple(sorted((*self._others(contract.expiry_step), board), key=lambda one: one.expiry_step))
        return replace(self._listed(contract, skew + self.rule.skew_share * step, coin != 0.0), boards=boards)

    def stepped(self, step: int, step_years: float) -> PoolVols:
        """After a step: means of base vols go on, what has expired is taken off."""
        if not self.boards:
            return self
        kept = math.exp(-step_years * HOURS_PER_YEAR / self.rule.memory_hours)
        boards = tuple(
            Board(one.expiry_step, one.base_iv, kept * one.mean_log + (1.0 - kept) * np.log(np.maximum(one.base_iv, 1e-6)))
            for one in self.boards
            if one.expiry_step > step
        )
        gone = (self.strike_usd > 0.0) & (self.expiry_step <= step)
        return replace(self, boards=boards, strike_usd=np.where(gone, 0.0, self.strike_usd))

    def _board(self, expiry_step: int) -> Board | None:
        return next((board for board in self.boards if board.expiry_step == expiry_step), None)

    def _others(self, expiry_step: int) -> tuple[Board, ...]:
        return tuple(board for board in self.boards if board.expiry_step != expiry_step)

    def _same(self, contract: Contract) -> BoolArray:
        return np.asarray((self.strike_usd == contract.strike_usd) & (self.expiry_step == contract.expiry_step))

    def _listed(self, contract: Contract, skew: FloatArray, where: BoolArray) -> PoolVols:
        same = self._same(contract)
        row = np.where(same.any(axis=0), same.argmax(axis=0), (self.strike_usd == 0.0).argmax(axis=0))
        path = np.flatnonzero(where)
        strikes, expiries, skews = self.strike_usd.copy(), self.expiry_step.copy(), self.skew.copy()
        strikes[row[path], path], expiries[row[path], path] = contract.strike_usd[path], contract.expiry_step
        skews[row[path], path] = skew[path]
        return replace(self, strike_usd=strikes, expiry_step=expiries, skew=skews)
