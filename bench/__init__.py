"""The measurements: how near the service is to what the machine can do, and whether it stays so as history grows."""
