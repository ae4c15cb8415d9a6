"""Pre-training of the embedded models, tiny-math and tiny-math-ernie, from random weights."""
