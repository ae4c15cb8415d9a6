"""Models: the registry, which of its models a user means, model folders, adapters, hubs."""
