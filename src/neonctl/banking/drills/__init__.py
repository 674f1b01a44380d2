"""Drills of Open Bank Resolution on a copy of the bank: what is done there, what it proves, and the report."""
