"""Workflows that ship with dsgen."""
