"""``tailwag alerts``: do alerts arrive, and which rules fire on this measurement?"""

from typing import Annotated

import typer

option = typer.Option

EXAMPLES = """
[bold]Examples[/bold]

  tailwag alerts test --settings alerts.toml

  tailwag alerts test --settings alerts.toml --channel desk-slack

  tailwag alerts check now.json before.json --settings alerts.toml

  tailwag alerts check btc.json --other eth.json --settings alerts.toml --json -

'test' sends a test alert through each channel of the settings. 'check' sends nothing: it says which rules fire on a document of tailwag measure
--json, given the one before it, and which cannot be judged. Addresses of channels are never printed.
"""


def alerts_command(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="test or check.")],
    documents: Annotated[
        list[str] | None, typer.Argument(metavar="[MEASURE.json [PREVIOUS.json]]", help="What check looks at, and what came before it.")
    ] = None,
    settings: Annotated[
        str | None, option("--settings", metavar="FILE", help="alerts.toml.  \\[default for check: every rule at its defaults]")
    ] = None,
    channel: Annotated[str | None, option("--channel", metavar="NAME", help="Test this channel only.")] = None,
    other: Annotated[
        str | None, option("--other", metavar="ETH.json", help="A measurement of the other coin, for the implied-vol rule.")
    ] = None,
    at: Annotated[
        str | None,
        option("--at", metavar="TIME", help="The time it is, with offset.  \\[default: the document's own time, so nothing is stale]"),
    ] = None,
    json_file: Annotated[
        str | None, option("--json", metavar="FILE", help="Write the outcome as strict JSON ('-' = stdout, alone).")
    ] = None,
) -> None:
    """Test the channels, or check which rules fire."""
    from tailwag.cli.alerting import AlertRequest, run_alerts

    run_alerts(AlertRequest(action, tuple(documents or ()), settings, channel, other, at, json_file))


def register(app: typer.Typer) -> None:
    """Add the ``alerts`` command to a typer application."""
    app.command("alerts", epilog=EXAMPLES)(alerts_command)
