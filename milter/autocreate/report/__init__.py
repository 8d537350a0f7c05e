"""`autocreate report`: what was decided in some time, as text, as JSON and as a page."""
