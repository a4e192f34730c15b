"""What ``tailwag serve`` does once its words are parsed: check, put the parts together, run until a signal."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.positioning import Rule
    from tailwag.sources.store.inventory import StoreFlow


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """The words of one ``tailwag serve`` call, as typed."""

    source: list[str] | None
    store: str | None
    every: float | None
    currency: str
    dynamics: str
    rule: list[str] | None
    depth_usd_per_pct: float | None
    book: str | None
    alerts: str | None
    host: str
    port: int
    public_host: list[str] | None
    behind_tls: bool
    certificate: str | None
    key: str | None
    compact: bool


def run_serve(request: ServeRequest) -> None:
    """Serve until SIGINT or SIGTERM."""
    try:
        from tailwag.service.run import ServePlan, serve
    except ModuleNotFoundError as missing:
        raise MissingPackageError(f"tailwag serve needs {missing.name}; pip install 'tailwag[service]'") from None
    from tailwag.cli.measuring import _check_currency
    from tailwag.cli.recording import _complain
    from tailwag.service.settings import ServeSettings, checked_every, checked_settings, token_file_from_environment
    from tailwag.sources.store.inventory import StoreFlow

    _check_currency(request.currency)
    settings = checked_settings(
        ServeSettings(
            host=request.host,
            port=request.port,
            public_hosts=tuple(request.public_host or ()),
            token_file=token_file_from_environment(),
            behind_tls=request.behind_tls,
            certificate=request.certificate,
            key=request.key,
        )
    )
    every = checked_every(request.every)
    with ExitStack() as stack:
        store = _store(request.store, stack)
        flow = StoreFlow(store, say=_complain)
        plan = ServePlan(
            settings=settings,
            store=store,
            sources=tuple(dict.fromkeys(request.source or ["demo"])),
            every_seconds=every,
            currency=request.currency,
            options=_options(request, flow),
            alert_settings=request.alerts,
            compact=request.compact,
            flow=flow,
        )
        serve(plan, ready=_say_ready)


def _options(request: ServeRequest, flow: StoreFlow) -> MeasureOptions:
    from tailwag.cli.measuring import _csv, _flow, _positions, _trades
    from tailwag.experiments.options import MeasureOptions, refuse_impossible
    from tailwag.positioning import RecordedFlowRule, parse_rule
    from tailwag.surface import parse_dynamics

    parse_dynamics(request.dynamics)

    def recorded(path: str) -> Rule | None:
        # the very store that is being recorded: it may not be there yet, and is accumulated as it grows
        own = Path(path).resolve() == flow.folder.resolve()
        return RecordedFlowRule(flow.flow, flow.label) if own else _flow(path)

    rules = tuple(
        parse_rule(text, load_trades=_trades, load_positions=_positions, load_flow=recorded) for text in dict.fromkeys(request.rule or [])
    )
    options = MeasureOptions(
        dynamics=request.dynamics,
        rules=rules,
        depth_usd_per_pct=request.depth_usd_per_pct,
        own_book=None if request.book is None else _csv(request.book),
    )
    refuse_impossible(options)
    return options


def _store(folder: str | None, stack: ExitStack) -> Path:
    if folder is not None:
        from tailwag.sources.opening import checked_path_text

        return Path(checked_path_text(folder))
    import tempfile

    try:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tailwag-", ignore_cleanup_errors=True)))
    except OSError as trouble:
        raise InputError(f"no temporary folder can be made ({trouble.strerror}); give --store DIR") from None


def _say_ready(address: str, store: Path) -> None:
    sys.stdout.write(f"tailwag serves {address} and records into {store}; stop it with Ctrl-C\n")
    sys.stdout.flush()
