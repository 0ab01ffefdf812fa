"""What the product costs over the least that could do the same: `./run bench`."""
