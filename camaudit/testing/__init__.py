"""Checks that third parties run on what they add: the generic tests that this program runs on its own."""
