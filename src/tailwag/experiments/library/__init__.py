"""The scenario library: one TOML file for each scenario, read by :mod:`tailwag.experiments.scenario_library`."""
