"""The measurements measure what they say: each row of ``bench/`` at its smallest."""
