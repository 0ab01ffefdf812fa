"""The platform broken at random, from a seed, under load; then the verdict: `./run chaos`."""
