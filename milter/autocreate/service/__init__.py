"""The decision about one user, from the question to the verdict, and the journal of unfinished trees."""
