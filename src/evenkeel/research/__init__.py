"""Offline: what is learned, tried and proved. Nothing here runs beside a decision."""
