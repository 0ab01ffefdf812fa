"""One file per provider dialect; adapters do not know each other."""
