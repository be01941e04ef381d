"""A service and its direct dependencies: how often it calls them, how hard their failures hit, what they allow."""
