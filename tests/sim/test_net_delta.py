"""The net-delta table against the sum over options: at strikes, near and far, at any time, for any grid, and whoever asks in which order."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.kernels import netdelta_plan
from tailwag.kernels.netdelta_lanes import begin_step, new_reader, read_path
from tailwag.kernels.netdelta_pack import PACK, PACK_AVERAGE, PACK_SHIFT, PACK_WANTED, PACK_X, new_pack_reader, read_pack
from tailwag.sim.net_delta import DirectNetDelta, NetDelta, Settings, TabulatedNetDelta, averaged_delta
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook

SPOT, DAY = 60000.0, 1 / 365
WEEK = np.arange(2017) * 300 / (365 * 86400)
HALF_DAY = np.arange(37) * 20 * 60 / (365 * 86400) + 0.0
GRADED = DAY * (1.0 - (1.0 - np.arange(161) / 160) ** 4)


def chain(
    days: tuple[float, ...], per_expiry: int, *, lanes: int = 3, seed: int = 0, skew: float = 0.0, averaged: bool = False
) -> list[OptionBook]:
    """Calls and puts on a smile; positions of random sign, crowded at the money."""
    rng = np.random.default_rng(seed)
    years = np.repeat(np.array(days) * DAY, per_expiry)
    log_strike = np.tile(np.linspace(-1, 1, per_expiry), len(days)) * np.clip(2.2 * np.sqrt(years), 0.06, 1.0)
    iv = np.clip(0.5 + 0.5 * log_strike**2 - 0.08 * log_strike, 0.3, 1.6)
    both = {"strike_usd": SPOT * np.exp(log_strike), "expiry_years": years, "iv": iv, "forward_ratio": np.exp(0.05 * years)}
    doubled = {name: np.tile(values, 2) for name, values in both.items()}
    count = 2 * years.size
    return [
        OptionBook(
            **doubled,
            right=np.repeat([1, -1], years.size),
            contracts_coin=rng.normal(-5, 50, count) * np.exp(-0.5 * (np.tile(log_strike, 2) / 0.15) ** 2),
            skew=np.full(count, skew),
            averaged=np.full(count, averaged),
        )
        for _ in range(lanes)
    ]


def crowd(count: int = 24, days: float = 1.0) -> list[OptionBook]:
    """The hardest book: all long, all at one price and time, so that no error is averaged away."""
    log_strike = np.linspace(-0.001, 0.001, count)
    ones = np.ones(count)
    return [
        OptionBook(
            right=ones.astype(np.int64),
            strike_usd=SPOT * np.exp(log_strike),
            expiry_years=days * DAY * ones,
            contracts_coin=ones,
            iv=np.linspace(0.5, 0.505, count),
            forward_ratio=ones,
            skew=0.0 * ones,
            averaged=ones < 0,
        )
    ]


CASES = {
    "several expiries": (chain((0.2, 0.4, 1, 2, 7, 30, 180), 16), HALF_DAY, {}),
    "skew": (chain((0.3, 1, 7, 30), 16, skew=-0.3, seed=1), HALF_DAY, {}),
    "settlement average": (chain((0.25, 0.5, 3, 30), 16, averaged=True, seed=2), HALF_DAY, {}),
    "one crowded book": (crowd(), GRADED, {}),
    "one crowded book of a week": (crowd(days=7.0), WEEK[::12], {}),
    "vol that stands still": (chain((0.2, 0.5, 2, 30), 16, seed=3), HALF_DAY, {"vol_shifts": (0.0, 0.0)}),
}


def states(direct: DirectNetDelta, time: float, seed: int, *, still: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths near and far, a third of them within a fraction of a standard deviation of a strike; vol shifts of the whole range."""
    rng, count = np.random.default_rng(seed), 300
    x, shift = rng.normal(0, 0.06, count), rng.normal(0, 0.12, count)
    left = direct.net_rows.expiry_years - time
    soon = direct.net_rows.log_strike[(left > 0) & (left < 1.5 * left[left > 0].min(initial=1.0))]
    if soon.size:
        near = 0.3 * np.sqrt(left[left > 0].min())
        x[::3] = rng.choice(soon, x[::3].size) + near * rng.normal(0, 1, x[::3].size)
    x[1::29], shift[2::19] = rng.uniform(-0.9, 0.9, x[1::29].size), rng.uniform(-0.6, 0.8, shift[2::19].size)
    return x, (0.0 if still else 1.0) * shift, SPOT * np.exp(x) * (1.0 + rng.normal(0, 0.002, count))


def worst(case: str, **changes: float) -> tuple[float, float]:
    """Largest errors relative to gross: of the delta, and of the slope times the narrowest standard deviation."""
    books, times, options = CASES[case]
    table, direct = TabulatedNetDelta(books, times, SPOT, settings=Settings(**{**options, **changes})), DirectNetDelta(books, times, SPOT)
    gross = np.array([book.gross_coin for book in books])[:, None]
    errors = []
    for step in range(0, times.size, max(1, times.size // 40)):
        x, shift, average = states(direct, times[step], step, still="vol_shifts" in options)
        ours = table.lanes(step, x, shift, running_average_usd=average)
        wanted = direct.lanes(step, x, shift, running_average_usd=average)
        left = direct.net_rows.expiry_years - times[step]
        width = 0.3 * np.sqrt(max(left[left > 0].min(initial=1.0), 1 / 8760 / 60))
        errors.append([np.max(np.abs(ours[0] - wanted[0]) / gross), np.max(np.abs(ours[1] - wanted[1]) / gross) * width])
    delta, slope = np.max(errors, axis=0)
    return float(delta), float(slope)


@pytest.mark.parametrize("case", CASES)
def test_table_is_within_a_millionth_of_gross(case: str) -> None:
    delta, slope = worst(case)
    assert delta < 1e-6
    assert slope < 1e-5
    assert delta > 0.0  # the table was read at all


@pytest.mark.parametrize("sloped", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_a_pack_of_paths_is_read_to_the_bits_of_each_path(case: str, sloped: bool) -> None:
    books, times, options = CASES[case]
    table = TabulatedNetDelta(books, times, SPOT, settings=Settings(**options)).table
    direct = DirectNetDelta(books, times, SPOT)
    alone, pack = new_reader(table), new_pack_reader(table)
    q, lanes = pack.rows.reshape(-1, PACK), table.lanes
    one = np.empty(2 * lanes)
    for step in range(0, times.size, max(1, times.size // 40)):
        parts = states(direct, times[step], step, still="vol_shifts" in options)
        for row, part in zip((PACK_X, PACK_SHIFT, PACK_AVERAGE), parts):
            q[row // PACK] = part[:PACK]
        q[PACK_WANTED // PACK] = np.arange(PACK) % 3 > 0
        begin_step(table, pack.reader, step)
        begin_step(table, alone, step)
        read_pack(table, pack, sloped)
        found = pack.found.reshape(PACK, 2 * lanes)
        for path in range(PACK):
            if path % 3 == 0:
                assert not found[path].any()  # it did not ask
                continue
            read_path(table, alone, *(float(part[path]) for part in parts), one)
            assert found[path, :lanes].tobytes() == one[:lanes].tobytes()
            assert not sloped or found[path].tobytes() == one.tobytes()


def test_a_loose_table_is_caught() -> None:
    assert worst("one crowded book", tolerance=1e-2)[0] > 1e-5


@pytest.mark.slow
def test_a_table_with_wrong_times_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    place = netdelta_plan._place_steps

    def late(number: int, grid: netdelta_plan.Grid, times: np.ndarray, *rest: np.ndarray) -> None:
        place(number, grid, times + 60 / (365 * 86400), *rest)

    monkeypatch.setattr(netdelta_plan, "_place_steps", late)
    assert worst("several expiries")[0] > 1e-5


@pytest.mark.slow
def test_a_full_book_over_a_week_at_every_step() -> None:
    books = chain((1, 2, 3, 4, 5, 6, 7, 14, 21, 49, 77, 112, 168, 259, 350, 441), 50, lanes=5)
    table, direct = TabulatedNetDelta(books, WEEK, SPOT), DirectNetDelta(books, WEEK, SPOT)
    gross = np.array([book.gross_coin for book in books])[:, None]
    for step in range(0, WEEK.size, 3):
        x, shift, _ = states(direct, WEEK[step], step, still=False)
        assert np.max(np.abs(table.lanes(step, x, shift)[0] - direct.lanes(step, x, shift)[0]) / gross) < 1e-6
    assert table.bytes < 150e6


def test_delta_of_single_options_is_black_s() -> None:
    call = OptionBook.single(strike_usd=65000, expiry_years=30 * DAY, contracts_coin=1.0, iv=0.65)
    put = OptionBook.single("put", strike_usd=65000, expiry_years=30 * DAY, contracts_coin=1.0, iv=0.65)
    for make in (DirectNetDelta, TabulatedNetDelta):
        delta, slope = make([call, put], WEEK, SPOT).lanes(0, np.zeros(1), np.zeros(1))
        assert delta[:, 0] == pytest.approx([0.368301172826, 0.368301172826 - 1.0], abs=1e-12)
        assert slope[:, 0] == pytest.approx(np.full(2, 3.37181871788e-5 * SPOT), rel=1e-10)


def test_call_and_put_of_one_strike_leave_a_forward() -> None:
    call, put = chain((1, 7), 16, lanes=1)[0], None
    rows = call.right > 0
    columns = {name: getattr(call, name)[rows] for name in ("strike_usd", "expiry_years", "iv", "forward_ratio", "skew", "averaged")}
    size, count = np.full(int(rows.sum()), 3.0), int(rows.sum())
    put = OptionBook(right=np.full(count, -1), contracts_coin=-size, **columns)
    call = OptionBook(right=np.full(count, 1), contracts_coin=size, **columns)
    net = DirectNetDelta(call.merged(put), WEEK, SPOT)
    assert net.net_rows.iv.size == count
    x = np.linspace(-0.3, 0.3, 7)
    assert net.at(100, x, 0 * x)[0] == pytest.approx(np.full(7, 3.0 * count), rel=1e-13)
    assert net.at(300, x, 0 * x)[0] == pytest.approx(np.full(7, 3.0 * count / 2), rel=1e-13)


@pytest.mark.parametrize("make", [DirectNetDelta, TabulatedNetDelta])
def test_an_expired_option_has_left_and_one_second_is_the_least(make: type[DirectNetDelta] | type[TabulatedNetDelta]) -> None:
    expiry = WEEK[288]
    net = make(OptionBook.single(strike_usd=SPOT, expiry_years=float(expiry), contracts_coin=2.0, iv=0.5), WEEK, SPOT)
    x = np.array([-0.01, 0.0, 0.01])
    assert net.at(287, x, 0 * x)[0] == pytest.approx([0.0, 1.0, 2.0], abs=2e-3)
    assert net.at(288, x, 0 * x)[0].tolist() == [0.0, 0.0, 0.0]
    late = DirectNetDelta(net.books, np.array([expiry - 0.1 / (365 * 86400)]), SPOT)
    assert np.all(np.isfinite(late.at(0, x, 0 * x)[1]))


def test_outside_the_table_options_are_summed() -> None:
    books = chain((2, 7, 30), 16)
    table, direct = TabulatedNetDelta(books, WEEK[:200], SPOT), DirectNetDelta(books, WEEK[:200], SPOT)
    x, shift = np.array([-2.0, -0.91, 0.95, 3.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.1, 0.0, -0.59, 2.0])
    gross = sum(book.gross_coin for book in books)
    for ours, wanted in zip(table.lanes(150, x, shift), direct.lanes(150, x, shift), strict=True):
        assert np.max(np.abs(ours - wanted)) < 1e-12 * gross


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_does_not_fit_is_summed(share: float) -> None:
    books, times, _ = CASES["settlement average"]
    whole, direct = TabulatedNetDelta(books, times, SPOT), DirectNetDelta(books, times, SPOT)
    table = TabulatedNetDelta(books, times, SPOT, settings=Settings(most_bytes=share * whole.bytes))
    assert table.bytes < (share + 0.1) * whole.bytes
    gross = sum(book.gross_coin for book in books)
    for step in range(times.size):
        x, shift, average = states(direct, times[step], step, still=False)
        ours, wanted = (net.lanes(step, x, shift, running_average_usd=average) for net in (table, direct))
        assert np.max(np.abs(ours[0] - wanted[0])) < (1e-12 if share == 0.0 else 1e-6) * gross


def test_answers_do_not_depend_on_blocks_threads_or_what_was_asked_before() -> None:
    books = chain((0.3, 2, 30), 16)
    table = TabulatedNetDelta(books, HALF_DAY, SPOT)
    again = TabulatedNetDelta(books, HALF_DAY, SPOT, settings=Settings(threads=2))
    assert np.array_equal(table.table.data, again.table.data)
    x, shift, _ = states(DirectNetDelta(books, HALF_DAY, SPOT), 0.0, 1, still=False)
    whole = table.lanes(5, x, shift)
    order = np.random.default_rng(1).permutation(x.size)
    answers: dict[int, np.ndarray] = {}

    def ask(part: int) -> None:
        chosen = order[part::2]
        again.lanes(9, x, shift)
        answers[part] = np.array(again.lanes(5, x[chosen], shift[chosen]))

    threads = [threading.Thread(target=ask, args=(part,)) for part in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part, answer in answers.items():
        assert np.array_equal(answer, np.array(whole)[:, :, order[part::2]])


def test_order_of_rows_changes_no_bit() -> None:
    book = chain((0.3, 2, 30), 16, lanes=1)[0]
    order = np.random.default_rng(2).permutation(len(book))
    shuffled = OptionBook(*(getattr(book, name)[order] for name in OptionBook.__slots__))
    x = np.linspace(-0.2, 0.2, 50)
    for make in (DirectNetDelta, TabulatedNetDelta):
        one, other = (make(each, HALF_DAY, SPOT).at(7, x, 0 * x) for each in (book, shuffled))
        assert np.array_equal(one, other)


def test_lanes_are_the_books_one_by_one() -> None:
    books = chain((0.3, 2, 30), 16, lanes=4)
    x = np.linspace(-0.2, 0.2, 50)
    together = TabulatedNetDelta(books, HALF_DAY, SPOT)
    for number, book in enumerate(books):
        alone: NetDelta = TabulatedNetDelta(book, HALF_DAY, SPOT)
        ours, wanted = together.lane(number).at(3, x, 0 * x), alone.at(3, x, 0 * x)
        assert np.max(np.abs(ours[0] - wanted[0])) < 2e-6 * book.gross_coin


def test_inside_the_settlement_window_the_average_counts() -> None:
    book = OptionBook.single(strike_usd=1.0, expiry_years=WINDOW_YEARS / 3, contracts_coin=1.0, iv=0.6, averaged=True)
    average, still = np.array([0.995, 1.0, 1.005]), np.zeros(3)
    delta, slope = averaged_delta([book], 0.0, 1.0, still, still, average)
    assert delta[0] == pytest.approx([0.0, 1 / 6, 1 / 3], abs=5e-4)
    assert slope[0, 1] == pytest.approx(88.0088, rel=1e-4)
    for make in (DirectNetDelta, TabulatedNetDelta):
        net = make(book, np.array([0.0]), 1.0)
        assert np.array_equal(net.at(0, still, still, running_average_usd=average)[0], delta[0])
        with pytest.raises(InputError, match="running average"):
            net.at(0, still, still)


def test_what_cannot_be_evaluated_is_refused() -> None:
    book = OptionBook.single(strike_usd=1.0, expiry_years=1.0, contracts_coin=1.0, iv=0.6, averaged=True)
    close = OptionBook.single(strike_usd=1.0, expiry_years=1.0 + WINDOW_YEARS / 2, contracts_coin=1.0, iv=0.6, averaged=True)
    with pytest.raises(InputError, match="30 minutes apart"):
        DirectNetDelta(book.merged(close), WEEK, SPOT)
    with pytest.raises(InputError, match="1 to 8 books"):
        DirectNetDelta([book] * 9, WEEK, SPOT)
    with pytest.raises(InputError, match="price above 0"):
        TabulatedNetDelta(book, WEEK, 0.0)
