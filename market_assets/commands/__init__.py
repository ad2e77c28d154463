"""What each command of `market` does. cli.py only names commands and options; heavy imports live in these modules."""
