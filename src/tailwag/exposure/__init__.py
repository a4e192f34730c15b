"""Floor 6: what a signed book is exposed to, over spot, vol and time."""

from __future__ import annotations

from tailwag.exposure.book import Book, median_index_usd, priced_book
from tailwag.exposure.draws import ExposureBands, exposure_bands
from tailwag.exposure.flips import Flip, nearest_flip
from tailwag.exposure.flows import HedgeFlow, book_flows, hedge_flows, scenario_grid
from tailwag.exposure.forward import CalendarEvent, FlowCalendar, ForwardView, Projection, flow_calendar, forward_view
from tailwag.exposure.holdings import Holding, parse_trade, read_holdings
from tailwag.exposure.levels import Concentration, Levels, MaxPain
from tailwag.exposure.own_book import GexLimits, LimitUse, OwnBook, OwnGreeks, TradeEffect, own_book, read_own_book, trade_effect
from tailwag.exposure.profile import Profile, book_profile, exposure_profile
from tailwag.exposure.totals import Breakdown, Exposure, by_expiry, by_right, by_strike, by_venue, exposure_totals

__all__ = [
    "Book",
    "Breakdown",
    "CalendarEvent",
    "Concentration",
    "Exposure",
    "ExposureBands",
    "Flip",
    "FlowCalendar",
    "ForwardView",
    "GexLimits",
    "HedgeFlow",
    "Holding",
    "Levels",
    "LimitUse",
    "MaxPain",
    "OwnBook",
    "OwnGreeks",
    "Profile",
    "Projection",
    "TradeEffect",
    "book_flows",
    "book_profile",
    "by_expiry",
    "by_right",
    "by_strike",
    "by_venue",
    "exposure_bands",
    "exposure_profile",
    "exposure_totals",
    "flow_calendar",
    "forward_view",
    "hedge_flows",
    "median_index_usd",
    "nearest_flip",
    "own_book",
    "parse_trade",
    "priced_book",
    "read_holdings",
    "read_own_book",
    "scenario_grid",
    "trade_effect",
]
