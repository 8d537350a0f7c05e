"""The mailbox tree of a user: what it can have, what is missing of it, and the plan that adds that."""
