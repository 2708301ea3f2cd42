"""The sandbox says what CONTRACT-MOYSKLAD.md says, quirks included."""
