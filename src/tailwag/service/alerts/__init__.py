"""Alerts: rules over measurements, remembered durably, told once.

``evaluate`` is pure; :class:`AlertDesk` keeps what it remembers on disk, :class:`Courier` delivers what it decides.
"""

from tailwag.service.alerts.alert import Alert, Finding
from tailwag.service.alerts.channels import Channel
from tailwag.service.alerts.courier import Courier
from tailwag.service.alerts.desk import AlertDesk
from tailwag.service.alerts.evaluate import Evaluation, evaluate
from tailwag.service.alerts.observer import AlertObserver
from tailwag.service.alerts.settings import AlertSettings, default_settings, read_settings, settings_document
from tailwag.service.alerts.state import AlertState

__all__ = [
    "Alert",
    "AlertDesk",
    "AlertObserver",
    "AlertSettings",
    "AlertState",
    "Channel",
    "Courier",
    "Evaluation",
    "Finding",
    "default_settings",
    "evaluate",
    "read_settings",
    "settings_document",
]
