"""Front ends: they translate between a protocol and the service, and decide nothing."""
