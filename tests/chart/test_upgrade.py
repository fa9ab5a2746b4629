"""Helm's upgrades in a real API server: the serving certificate stays, and a new one takes over. No pod runs."""
