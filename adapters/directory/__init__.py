"""Who is calling and who should answer: what the rest of the telephony asks, and what MoySklad tells of changes."""
