"""Floor 6: what a signed book is exposed to, over spot, vol and time."""

from __future__ import annotations

from tailwag.exposure.book import Book, median_index_usd, priced_book
from tailwag.exposure.draws import ExposureBands, exposure_bands
from tailwag.exposure.flips import Flip, nearest_flip
from tailwag.exposure.flows import HedgeFlow, book_flows, hedge_flows, scenario_grid
from tailwag.exposure.forward import CalendarEvent, FlowCalendar, ForwardView, Projection, flow_calendar, forward_view
from tailwag.exposure.levels import Concentration, Levels, MaxPain
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
    "HedgeFlow",
    "Levels",
    "MaxPain",
    "Profile",
    "Projection",
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
    "priced_book",
    "scenario_grid",
]
