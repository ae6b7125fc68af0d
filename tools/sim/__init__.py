"""The simulator: the whole firmware on the host, against simulated chips and batteries."""
