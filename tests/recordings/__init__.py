"""Calls as they were recorded on the wire, each with the truth about it."""
