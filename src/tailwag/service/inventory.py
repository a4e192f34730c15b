"""Signed inventory while serving: each recorded snapshot goes into the flow of its store, so that a measurement reads nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailwag.positioning import RecordedFlowRule

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot
    from tailwag.sources.store.inventory import StoreFlow
    from tailwag.sources.store.recorder import Acknowledgement, Recorder


class FlowKeeper:
    """A recorder that tells the store's flow of every snapshot it has made durable."""

    def __init__(self, recorder: Recorder, flow: StoreFlow) -> None:
        self._recorder, self._flow = recorder, flow

    def append(self, snapshot: Snapshot, *, received_ns: int) -> Acknowledgement:
        """Record, then accumulate; what was not acknowledged is not counted."""
        done = self._recorder.append(snapshot, received_ns=received_ns)
        self._flow.recorded(snapshot, seq=done.seq, sha256=done.sha256)
        return done


def own_rule(flow: StoreFlow) -> RecordedFlowRule:
    """The rule that joins the cited ones where nobody chose: what was recorded here, where the source says that it is whole."""
    return RecordedFlowRule(flow.recent_flow, flow.label, stated_only=True)
