"""Streams: venues' WebSockets as pure state machines (message and clock in, actions out), and the thin thread that gives them a socket."""
