"""The first configuration: what is on this machine, what that means, and the lines to change."""
