"""From a configuration to a working program. The only package that knows every part."""
