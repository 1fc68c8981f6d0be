"""What Celery and the broker are told: tasks, messages, leases."""
