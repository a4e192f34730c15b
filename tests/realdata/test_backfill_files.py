"""Real trades of six expiries and half a day with repeats: into a store twice, and the inventory against a sum by pandas."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailwag.cli import main
from tailwag.sources.store.history import History
from tailwag.sources.store.inventory import StoreFlow

pytestmark = pytest.mark.realdata


SOME = ("29DEC17", "25DEC20", "30DEC22", "Deribit_20220101")
"""A short expiry, a small one and a large one that the half day with repeats trades as well."""


@pytest.mark.parametrize(
    ("chosen", "dates"),
    [
        (SOME, ("2022-01-01T06:00", "2022-12-01")),
        pytest.param(("",), ("2020-12-01", "2021-06-01", "2021-12-30", "2022-12-01"), marks=pytest.mark.slow),
    ],
    ids=["some", "all"],
)
def test_backfilled_twice_the_inventory_is_the_sum_that_pandas_gives(
    data: Path, tmp_path: Path, chosen: tuple[str, ...], dates: tuple[str, ...]
) -> None:
    pd = pytest.importorskip("pandas")
    folder = data / "deribit-trades"
    files = [*sorted(folder.glob("*.parquet")), *sorted(folder.glob("*.csv"))]
    if len(files) < 7:
        pytest.skip("the trade files are not there")
    files = [path for path in files if any(word in path.name for word in chosen)]
    assert len(files) >= len(chosen)
    counts = []
    for _ in range(2):
        with pytest.raises(SystemExit):
            main(["trades", "backfill", *map(str, files), "--store", str(tmp_path)])
        counts.append(len(History.open(tmp_path).trades()))
    assert counts[0] == counts[1]
    parts = [pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path) for path in files]
    short = {"q": "amount", "p": "price", "t": "timestamp"}
    rows = pd.concat([part.rename(columns={k: v for k, v in short.items() if v not in part.columns}) for part in parts])
    rows["trade_id"] = rows["trade_id"].astype(str)
    assert rows["trade_id"].duplicated().any(), "the files repeat one another"
    rows = rows.drop_duplicates("trade_id")
    rows = rows[rows["instrument_name"].str.fullmatch(r"BTC-\d{1,2}[A-Z]{3}\d\d-\d+-[CP]")]
    assert len(rows) == counts[0]
    rows["signed"] = rows["amount"] * rows["direction"].map({"buy": 1, "sell": -1})
    rows["expiry_ns"] = (
        pd.to_datetime(rows["instrument_name"].str.split("-").str[1] + " 08", format="%d%b%y %H").astype("datetime64[ns]").astype("int64")
    )
    store = StoreFlow(tmp_path)
    for at in dates:
        at_ns = pd.Timestamp(at, tz="UTC").value
        alive = rows[(rows["timestamp"] * 1_000_000 <= at_ns) & (rows["expiry_ns"] > at_ns)]
        want = alive.groupby("instrument_name")["signed"].sum()
        flow = store.flow("BTC", at_ns)
        found = pd.Series(flow.taker_coin, index=flow.instrument.tolist()).groupby(level=0).sum()
        assert len(want) > 5
        assert found.index.tolist() == want.index.tolist()
        assert (found - want).abs().max() < 1e-6
