"""What an administrator asks for beyond one recipient."""
