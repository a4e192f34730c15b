"""Alerts: rules over measurements, remembered durably, told once.

``evaluate`` is pure; :class:`~tailwag.service.alerts.desk.AlertDesk` keeps its state on disk and delivers what it finds.
"""
