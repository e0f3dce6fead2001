"""What the code looks like: layers, purity, sizes, words, the public names, the way of one change."""
