"""Every parser and every reader of a protocol, fed with what nobody should write. See script/fuzz."""
