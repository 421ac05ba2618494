"""One module for each library that is measured; `llmswitch` stands here once for each of its engines."""
