"""What `llmswitch doctor` finds out: of each provider the key, the site, the way there, the models, what is left."""
