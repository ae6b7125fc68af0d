"""Starts the application, nothing else."""

from parallelator import app

app.run()
