"""`autocreate report`: statistics of a period, as text, as JSON and as an HTML page."""
