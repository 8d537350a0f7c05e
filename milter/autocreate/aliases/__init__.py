"""Aliases: from an address to the accounts it stands for. `resolver` is the entrance."""
