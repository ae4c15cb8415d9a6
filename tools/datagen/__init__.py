"""Generators of the data sets that ship with swiftkit: word problems, a style, and preferences."""
