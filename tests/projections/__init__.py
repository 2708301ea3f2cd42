"""Read models: each row as its events say, and rebuilt equals live."""
