"""What each port promises, as one suite that every adapter of it runs, the one in memory included."""
