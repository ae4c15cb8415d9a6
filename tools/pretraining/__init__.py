"""Pre-training of the bundled models, tiny-math and tiny-math-ernie, from random weights."""
