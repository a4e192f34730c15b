"""Eight books at once: the few machine-level steps that a compiler does not find by itself.

Loops over 36 products of eight numbers each are not turned into vector code by LLVM, so that the sums are spelt out here on vectors of
`lanes` doubles, at addresses instead of arrays (an array handed on is counted in and out, which costs more than these sums).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "add_cell_1",
    "add_cell_8",
    "add_pair_1",
    "add_pair_8",
    "add_row_1",
    "add_row_8",
    "add_value_1",
    "add_value_8",
    "address_of",
    "clear_1",
    "clear_8",
    "flags_at",
    "float_at",
    "floats_at",
    "integer_at",
    "integers_at",
    "mix_1",
    "mix_8",
    "put_integer",
]

DOUBLE, INTEGER = ir.DoubleType(), ir.IntType(64)
SIX = types.UniTuple(types.float64, 6)  # type: ignore[no-untyped-call]


@intrinsic
def _address_of(typing_context: Any, array: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, INTEGER)

    return types.int64(array), code


address_of = cast("Callable[[FloatArray | IntArray], int]", _address_of)
"""(array): where an array's numbers begin."""


@intrinsic
def _as_pointer(typing_context: Any, address: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


_pointer = cast("Callable[[int], Any]", _as_pointer)


@njit(error_model="numpy", fastmath=False, forceinline=True)
def floats_at(address: int, count: int) -> FloatArray:
    """The numbers at an address, as an array that nobody counts."""
    numbers: FloatArray = carray(_pointer(address), (count,), dtype=np.float64)
    return numbers


@njit(error_model="numpy", fastmath=False, forceinline=True)
def integers_at(address: int, count: int) -> IntArray:
    """The integers at an address, as an array that nobody counts."""
    numbers: IntArray = carray(_pointer(address), (count,), dtype=np.int64)
    return numbers


@njit(error_model="numpy", fastmath=False, forceinline=True)
def flags_at(address: int, count: int) -> BoolArray:
    """What is true and what is not at an address, as an array that nobody counts."""
    flags: BoolArray = carray(_pointer(address), (count,), dtype=np.bool_)
    return flags


@intrinsic
def _integer_at(typing_context: Any, address: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], INTEGER.as_pointer()))

    return types.int64(types.int64), code


integer_at = cast("Callable[[int], int]", _integer_at)
"""(address): the integer there."""


@intrinsic
def _float_at(typing_context: Any, address: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], DOUBLE.as_pointer()))

    return types.float64(types.int64), code


float_at = cast("Callable[[int], float]", _float_at)
"""(address): the number there."""


@intrinsic
def _put_integer(typing_context: Any, address: Any, value: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], INTEGER.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


put_integer = cast("Callable[[int, int], None]", _put_integer)
"""(address, value): store an integer."""


class _Lanes:
    """Loads, products and sums of vectors of `lanes` doubles, while one function is being written."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.type = ir.VectorType(DOUBLE, lanes)
        name = f"llvm.fmuladd.v{lanes}f64"
        known = builder.module.globals.get(name)
        self.fused = known or ir.Function(builder.module, ir.FunctionType(self.type, [self.type] * 3), name=name)

    def spread(self, number: Any) -> Any:
        empty = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes))

    def pointer(self, address: Any, vectors: int) -> Any:
        shifted = self.builder.add(address, ir.Constant(INTEGER, vectors * self.lanes * 8))
        return self.builder.inttoptr(shifted, self.type.as_pointer())

    def load(self, address: Any, vectors: int) -> Any:
        return self.builder.load(self.pointer(address, vectors), align=8)

    def products(self, weights: list[Any], vectors: list[Any]) -> Any:
        total = self.builder.fmul(weights[0], vectors[0])
        for weight, vector in zip(weights[1:], vectors[1:], strict=True):
            total = self.builder.call(self.fused, [weight, vector, total])
        return total

    def add(self, address: Any, vectors: int, value: Any) -> None:
        place = self.pointer(address, vectors)
        self.builder.store(self.builder.fadd(self.builder.load(place, align=8), value), place, align=8)


def _six(lanes: _Lanes, weights: Any) -> list[Any]:
    return [lanes.spread(lanes.builder.extract_value(weights, i)) for i in range(6)]


def _adder_of_pairs(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def add_pair(typing_context: Any, nodes: Any, along: Any, slopes: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            nodes, along, slopes, out = arguments
            vector = _Lanes(builder, lanes)
            loaded = [vector.load(nodes, i) for i in range(6)]
            for part, weights in enumerate((along, slopes)):
                vector.add(out, part, vector.products(_six(vector, weights), loaded))
            return context.get_dummy_value()

        return types.void(types.int64, SIX, SIX, types.int64), code

    return add_pair


def _adder_of_values(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def add_value(typing_context: Any, low: Any, high: Any, along: Any, across: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            low, high, along, across, out = arguments
            vector = _Lanes(builder, lanes)
            weights, values = _six(vector, along), []
            for corner in (low, high):
                for order in range(3):
                    values.append(
                        vector.products(weights, [vector.load(corner, node * 9 + order * 3 + i) for node in range(2) for i in range(3)])
                    )
            vector.add(out, 0, vector.products(_six(vector, across), values))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, SIX, SIX, types.int64), code

    return add_value


def _adder_of_cells(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def add_cell(typing_context: Any, low: Any, high: Any, along: Any, slopes: Any, across: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            low, high, along, slopes, across, out = arguments
            vector = _Lanes(builder, lanes)
            value_weights, slope_weights, up = _six(vector, along), _six(vector, slopes), _six(vector, across)
            values, gradients = [], []
            for corner in (low, high):
                for order in range(3):
                    loaded = [vector.load(corner, node * 9 + order * 3 + i) for node in range(2) for i in range(3)]
                    values.append(vector.products(value_weights, loaded))
                    gradients.append(vector.products(slope_weights, loaded))
            vector.add(out, 0, vector.products(up, values))
            vector.add(out, 1, vector.products(up, gradients))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, SIX, SIX, SIX, types.int64), code

    return add_cell


def _mixer(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def mix(typing_context: Any, nodes: Any, stride: Any, weights: Any, orders: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            nodes, stride, weights, orders, out = arguments
            vector = _Lanes(builder, lanes)
            spread, size = _six(vector, weights), ir.Constant(INTEGER, 8 * lanes)
            starts = [nodes]
            for _ in range(5):
                starts.append(builder.add(starts[-1], stride))
            with cgutils.for_range(builder, orders) as loop:
                at = builder.mul(loop.index, size)
                mixed = vector.products(spread, [vector.load(builder.add(start, at), 0) for start in starts])
                builder.store(mixed, vector.pointer(builder.add(out, at), 0), align=8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, SIX, types.int64, types.int64), code

    return mix


def _clearer(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def clear(typing_context: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = _Lanes(builder, lanes)
            for part in range(2):
                builder.store(ir.Constant(vector.type, [0.0] * lanes), vector.pointer(arguments[0], part), align=8)
            return context.get_dummy_value()

        return types.void(types.int64), code

    return clear


def _adder_of_rows(lanes: int) -> Callable[..., Any]:
    @intrinsic
    def add_row(typing_context: Any, coins: Any, value: Any, slope: Any, out: Any) -> tuple[Any, Any]:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            coins, value, slope, out = arguments
            vector = _Lanes(builder, lanes)
            held = vector.load(coins, 0)
            vector.add(out, 0, builder.fmul(held, vector.spread(value)))
            vector.add(out, 1, builder.fmul(held, vector.spread(slope)))
            return context.get_dummy_value()

        return types.void(types.int64, types.float64, types.float64, types.int64), code

    return add_row


clear_1, clear_8 = _clearer(1), _clearer(8)
"""(out): two vectors of zeros at `out`."""
mix_1, mix_8 = _mixer(1), _mixer(8)
"""(nodes, stride, weights, orders, out): `orders` vectors at `out` from those at six places, `stride` bytes apart."""
add_row_1, add_row_8 = _adder_of_rows(1), _adder_of_rows(8)
"""(coins, value, slope, out): add the vector at `coins` times each number to the two vectors at `out`."""
add_pair_1, add_pair_8 = _adder_of_pairs(1), _adder_of_pairs(8)
"""(nodes, along, slopes, out): add the Hermite sums of two neighbouring nodes of 3 vectors to two vectors at `out`: value, slope."""
add_cell_1, add_cell_8 = _adder_of_cells(1), _adder_of_cells(8)
"""(low, high, along, slopes, across, out): the same over four nodes of 9 vectors, two each at `low` and `high`."""
add_value_1, add_value_8 = _adder_of_values(1), _adder_of_values(8)
"""(low, high, along, across, out): the value alone, in 6/10 of the time."""
