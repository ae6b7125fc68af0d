"""What the stand-ins speak to: harness.py sets both before the firmware starts."""

world = None
watch = None
