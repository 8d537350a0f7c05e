"""The report page as a real browser shows it. `script/pictures` takes pictures of the same pages."""
