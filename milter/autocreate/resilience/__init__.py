"""What keeps one slow or absent server from stopping the mail: breaker, pool, single flight, time limits."""
